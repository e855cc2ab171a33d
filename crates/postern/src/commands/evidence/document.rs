//! A short text for people, which is written as a page of HTML and as a PDF.

use std::fmt::Write as _;

mod pdf;

/// A part of a text. What stands between backticks is a name of something.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Heading(&'static str),
    Text(String),
    List(&'static [&'static str]),
    Table {
        head: [&'static str; 3],
        rows: Vec<[String; 3]>,
    },
    /// What is typed as it stands.
    Code(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    title: &'static str,
    /// What it says in one sentence.
    summary: String,
    blocks: Vec<Block>,
}

impl Document {
    pub(super) fn new(title: &'static str, summary: &str) -> Self {
        Self { title, summary: summary.to_owned(), blocks: Vec::new() }
    }

    pub(super) fn title(&self) -> &str {
        self.title
    }

    pub(super) fn summary(&self) -> &str {
        &self.summary
    }

    pub(super) fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// One page without scripts, and without anything that it loads.
    pub(super) fn html(&self) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Evidence</title>\n\
             <style>body{{font:1rem/1.5 sans-serif;max-width:44rem;margin:2rem auto;\
             padding:0 1rem}}\
             td,th{{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}}</style>\n\
             <h1>{}</h1>\n<p><strong>{}</strong></p>\n",
            escaped(self.title),
            escaped(&self.summary)
        );
        for block in &self.blocks {
            write_block(&mut html, block);
        }
        html.push_str("</html>\n");
        html
    }

    /// The same on pages of A4, in fonts that every reader of PDF has.
    pub(super) fn pdf(&self) -> Vec<u8> {
        pdf::write(self)
    }
}

fn write_block(html: &mut String, block: &Block) {
    let _ = match block {
        Block::Heading(text) => writeln!(html, "<h2>{}</h2>", spans(text)),
        Block::Text(text) => writeln!(html, "<p>{}</p>", spans(text)),
        Block::Code(text) => writeln!(html, "<pre>{}</pre>", escaped(text)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}", spans(item))).collect();
            writeln!(html, "<ul>{items}</ul>")
        }
        Block::Table { head, rows } => {
            let row = |kind: &str, cells: Vec<String>| {
                let cells: String = cells.iter().map(|cell| format!("<{kind}>{cell}")).collect();
                format!("<tr>{cells}</tr>\n")
            };
            let head = row("th", head.iter().map(|cell| spans(cell)).collect());
            // What an account is called is no name of ours.
            let rows =
                rows.iter().map(|cells| row("td", cells.iter().map(|c| escaped(c)).collect()));
            writeln!(html, "<table>{head}{}</table>", rows.collect::<String>())
        }
    };
}

/// Text with what stands between backticks marked.
fn spans(text: &str) -> String {
    let mut html = String::new();
    for (place, part) in text.split('`').enumerate() {
        let part = escaped(part);
        let _ = match place % 2 {
            0 => write!(html, "{part}"),
            _ => write!(html, "<code>{part}</code>"),
        };
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Document {
        let mut page = Document::new("What came", "All & more.");
        page.push(Block::Heading("Of what"));
        page.push(Block::Text("from `a<b` & more".to_owned()));
        let rows = vec![["x<y".to_owned(), "Łukasz".to_owned(), "née (3)".to_owned()]];
        page.push(Block::Table { head: ["one", "two", "three"], rows });
        page
    }

    #[test]
    fn what_is_written_into_a_page_is_text() {
        let html = page().html();
        assert!(html.contains("<p><strong>All &amp; more.</strong></p>"), "{html}");
        assert!(html.contains("<p>from <code>a&lt;b</code> &amp; more</p>"), "{html}");
        assert!(html.contains("<td>x&lt;y<td>Łukasz<td>née (3)"), "{html}");
    }

    #[test]
    fn a_pdf_has_the_same_words() {
        let bytes = page().pdf();
        assert!(bytes.starts_with(b"%PDF-1.7"));
        let shows = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        assert!(shows(b"(from a<b & more)"));
        // What the fonts don't have is told by its number; é is one byte, in hexadecimal.
        assert!(shows(b"(  two: [U+0141]ukasz)"));
        let hex: String = b"  three: n\xe9e (3)".iter().map(|byte| format!("{byte:02X}")).collect();
        assert!(shows(format!("<{hex}>").as_bytes()));
    }

    #[test]
    fn long_texts_go_over_pages() {
        let mut page = Document::new("Long", "Much.");
        (0..200).for_each(|n| page.push(Block::Text(format!("Paragraph {n}. ").repeat(20))));
        let bytes = page.pdf();
        let text = String::from_utf8_lossy(&bytes);
        let pages = text.matches("/Type /Page\n").count();
        assert!(pages > 10, "{pages}");
        assert!(text.contains("Paragraph 199."));
        let lines = text.lines().filter(|line| line.ends_with(") Tj"));
        assert!(lines.clone().count() > 500);
        assert!(lines.clone().all(|line| line.len() < 100), "a line is too long for the page");
    }
}
