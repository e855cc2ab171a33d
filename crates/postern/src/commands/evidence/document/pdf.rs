//! PDF 1.7 in Courier, one of the fonts that every reader has (ISO 32000-1, 9.6.2.2). All of its
//! characters are equally wide, so lines are broken by counting. Nothing is compressed: what the
//! file says can be read in it.

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

use super::{Block, Document};

/// A4, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 60.0;
const SIZE: f32 = 10.0;
const LINE: f32 = 13.0;
/// A character is 600 thousandths of the size wide.
const COLUMNS: usize = 79;
const LINES: usize = 55;
const FIRST_PAGE: i32 = 5;

const PLAIN: Name<'_> = Name(b"P");
const BOLD: Name<'_> = Name(b"B");

#[derive(Debug)]
struct Line {
    text: String,
    bold: bool,
}

pub(super) fn write(document: &Document) -> Vec<u8> {
    let lines = lines(document);
    let pages: Vec<&[Line]> = lines.chunks(LINES).collect();
    let mut pdf = Pdf::new();
    let [catalog, tree, plain, bold] = [1, 2, 3, 4].map(Ref::new);
    let numbers = (FIRST_PAGE..).step_by(2).map(|number| (Ref::new(number), Ref::new(number + 1)));
    let numbered: Vec<((Ref, Ref), &[Line])> = numbers.zip(pages).collect();
    pdf.catalog(catalog).pages(tree);
    let kids = numbered.iter().map(|((page, _), _)| *page);
    pdf.pages(tree).kids(kids).count(numbered.len().try_into().unwrap_or(i32::MAX));
    for (font, name) in [(plain, Name(b"Courier")), (bold, Name(b"Courier-Bold"))] {
        let encoding = Name(b"WinAnsiEncoding");
        pdf.type1_font(font).base_font(name).encoding_predefined(encoding);
    }
    for ((page, content), lines) in &numbered {
        let mut written = pdf.page(*page);
        written.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(*content);
        written.resources().fonts().pair(PLAIN, plain).pair(BOLD, bold);
        written.finish();
        pdf.stream(*content, &shown(lines));
    }
    let (_, last) = numbered.last().map_or((tree, bold), |(page, _)| *page);
    let info = Ref::new(last.get() + 1);
    pdf.document_info(info).title(TextStr(document.title)).producer(TextStr("Postern"));
    pdf.finish()
}

/// What draws a page.
fn shown(lines: &[Line]) -> Vec<u8> {
    let mut content = Content::new();
    content.begin_text().set_leading(LINE).next_line(MARGIN, HEIGHT - MARGIN);
    for line in lines {
        content.set_font(if line.bold { BOLD } else { PLAIN }, SIZE);
        content.show(Str(&encoded(&line.text))).next_line_using_leading();
    }
    content.end_text();
    content.finish().into_vec()
}

fn lines(document: &Document) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut put = |text: &str, first: &str, bold: bool| {
        let shown = legible(&text.replace('`', ""));
        let indent = " ".repeat(first.len());
        let columns = COLUMNS - first.len();
        for (place, line) in broken(&shown, columns).into_iter().enumerate() {
            let lead = if place == 0 { first } else { &indent };
            lines.push(Line { text: format!("{lead}{line}"), bold });
        }
    };
    put(document.title, "", true);
    put("", "", false);
    put(&document.summary, "", true);
    put("", "", false);
    for block in &document.blocks {
        match block {
            Block::Heading(text) => put(text, "", true),
            Block::Text(text) => put(text, "", false),
            Block::Code(text) => put(text, "    ", false),
            Block::List(items) => items.iter().for_each(|item| put(item, "- ", false)),
            Block::Table { head, rows } => {
                for row in rows {
                    for (name, cell) in head.iter().zip(row) {
                        put(&format!("{name}: {cell}"), "  ", false);
                    }
                    put("", "", false);
                }
            }
        }
        if !matches!(block, Block::Table { .. }) {
            put("", "", false);
        }
    }
    lines
}

/// A text in lines of so many characters, broken between words where that is possible.
fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let last = lines.len() - 1;
            let used = lines[last].chars().count();
            let space = usize::from(used > 0);
            if used + space + word.len() <= columns {
                if space == 1 {
                    lines[last].push(' ');
                }
                lines[last].extend(word.drain(..));
            } else if used > 0 {
                lines.push(String::new());
            } else {
                lines[last].extend(word.drain(..columns));
                lines.push(String::new());
            }
        }
    }
    lines
}

/// What the fonts don't have is told by its number.
fn legible(text: &str) -> String {
    let one = |c: char| {
        if byte(c).is_some() { c.to_string() } else { format!("[U+{:04X}]", u32::from(c)) }
    };
    text.chars().map(one).collect()
}

fn encoded(text: &str) -> Vec<u8> {
    text.chars().filter_map(byte).collect()
}

/// A character in WinAnsiEncoding, as far as that is Latin-1.
fn byte(c: char) -> Option<u8> {
    let code = u8::try_from(u32::from(c)).ok()?;
    matches!(code, 0x20..=0x7e | 0xa0..=0xff).then_some(code)
}
