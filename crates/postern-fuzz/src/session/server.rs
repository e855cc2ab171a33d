//! What the scripted server says: the honest answer to what it was sent, or anything else.

use std::collections::{HashMap, VecDeque};

use bytes::BytesMut;
use postern_wire::{
    Bind, Column, CopyFormats, EncodeError, Execute, Frame, Frontend, Parse, ReportFields, Target,
    TransactionStatus, encode,
};

use super::{MARK, Script};
use crate::wire::frames;

/// Rows of each honest answer: more than a hold has.
const ROWS: usize = 4;

/// Answers as PostgreSQL would, as far as a session can tell.
pub(super) struct Server {
    answers: VecDeque<Frame>,
    /// Texts by the names of statements and portals.
    statements: HashMap<String, String>,
    portals: HashMap<String, String>,
    status: TransactionStatus,
    /// After an error in the extended protocol.
    skips: bool,
    copies_in: bool,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            answers: VecDeque::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            status: TransactionStatus::Idle,
            skips: false,
            copies_in: false,
        }
    }

    /// The next message of an honest server.
    pub(super) fn answers(&mut self) -> Option<Frame> {
        self.answers.pop_front()
    }

    pub(super) fn hears(&mut self, frame: &Frame) {
        let Ok(message) = Frontend::parse(frame) else { panic!("the server gets no message") };
        let mut out = BytesMut::new();
        let written = self.answer(&message, &mut out);
        assert_eq!(written, Ok(()), "an answer can't be written");
        self.answers.extend(frames(&out));
    }

    fn answer(&mut self, message: &Frontend<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        match message {
            Frontend::Sync => {
                self.skips = false;
                encode::ready_for_query(out, self.status);
            }
            _ if self.skips => {}
            Frontend::Query(sql) => {
                for sql in sql.split(";\n") {
                    if !self.run(sql, true, out)? {
                        break;
                    }
                }
                encode::ready_for_query(out, self.status);
            }
            Frontend::Parse(Parse { name, sql, .. }) => {
                if is_wrong(sql) {
                    self.skips = true;
                    return error(out, "42601", "syntax error");
                }
                self.statements.insert((*name).to_owned(), (*sql).to_owned());
                encode::parse_complete(out);
            }
            Frontend::Bind(Bind { portal, statement, .. }) => {
                let sql = self.statements.get(*statement).cloned().unwrap_or_default();
                self.portals.insert((*portal).to_owned(), sql);
                encode::bind_complete(out);
            }
            Frontend::Describe(Target::Statement(name)) => {
                encode::parameter_description(out, &[])?;
                describe(out, self.statements.get(*name))?;
            }
            Frontend::Describe(Target::Portal(name)) => describe(out, self.portals.get(*name))?,
            Frontend::Execute(Execute { portal, .. }) => {
                let sql = self.portals.get(*portal).cloned().unwrap_or_default();
                self.skips = !self.run(&sql, false, out)?;
            }
            Frontend::Close(_) => encode::close_complete(out),
            Frontend::CopyDone if std::mem::take(&mut self.copies_in) => {
                encode::command_complete(out, "COPY 1")?;
            }
            Frontend::CopyFail(_) if std::mem::take(&mut self.copies_in) => {
                self.skips = true;
                error(out, "57014", "COPY from stdin failed")?;
            }
            Frontend::Flush
            | Frontend::Terminate
            | Frontend::Password(_)
            | Frontend::CopyData(_)
            | Frontend::CopyDone
            | Frontend::CopyFail(_)
            | Frontend::FunctionCall => {}
        }
        Ok(())
    }

    /// Whether it went well.
    fn run(&mut self, sql: &str, describes: bool, out: &mut BytesMut) -> Result<bool, EncodeError> {
        if is_wrong(sql) {
            error(out, "42601", "syntax error")?;
            return Ok(false);
        }
        let verb = sql.split_whitespace().next().unwrap_or_default();
        match verb {
            "" => encode::empty_query_response(out),
            "COPY" if sql.contains("FROM STDIN") => {
                self.copies_in = true;
                encode::copy_in_response(out, &CopyFormats { overall: 0, columns: vec![0; 2] })?;
            }
            "COPY" => copy(out, columns(sql))?,
            "BEGIN" => {
                self.status = TransactionStatus::InTransaction;
                encode::command_complete(out, verb)?;
            }
            "COMMIT" | "ROLLBACK" if !sql.contains(" TO ") => {
                self.status = TransactionStatus::Idle;
                encode::command_complete(out, verb)?;
            }
            _ => {
                let sql = self.meant(sql);
                let count = columns(&sql);
                if describes && count > 0 {
                    describe(out, Some(&sql))?;
                }
                if count > 0 {
                    for _ in 0..ROWS {
                        row(out, count)?;
                    }
                }
                encode::command_complete(out, &format!("{verb} {ROWS}"))?;
            }
        }
        Ok(true)
    }

    /// The text that is executed by a name.
    fn meant(&mut self, sql: &str) -> String {
        let mut words = sql.split_whitespace();
        let verb = words.next();
        let name = words.next().unwrap_or_default();
        if let (Some("PREPARE"), Some((_, meant))) = (verb, sql.split_once(" AS ")) {
            self.statements.insert(name.to_owned(), meant.to_owned());
            return String::new();
        }
        if let (Some("DECLARE"), Some((_, meant))) = (verb, sql.split_once(" FOR ")) {
            self.portals.insert(name.to_owned(), meant.to_owned());
            return String::new();
        }
        let last = sql.split_whitespace().last().unwrap_or_default();
        match verb {
            Some("EXECUTE") => self.statements.get(name).cloned().unwrap_or_default(),
            Some("FETCH") => self.portals.get(last).cloned().unwrap_or_default(),
            _ => sql.to_owned(),
        }
    }
}

fn is_wrong(sql: &str) -> bool {
    sql.starts_with("postern refused")
}

/// How many columns a query gives, with those that are hidden: the commas of its list.
fn columns(sql: &str) -> usize {
    let list = match (sql.find("RETURNING"), sql.find("SELECT")) {
        (Some(start), _) | (None, Some(start)) => sql.get(start..).unwrap_or_default(),
        (None, None) => return 0,
    };
    if sql.starts_with("UPDATE") && !sql.contains("RETURNING") {
        return 0;
    }
    let (mut depth, mut count) = (0_usize, 1);
    for (place, letter) in list.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => count += 1,
            'F' if depth == 0 && list.get(place..).is_some_and(|l| l.starts_with("FROM ")) => break,
            _ => {}
        }
    }
    count
}

fn describe(out: &mut BytesMut, sql: Option<&String>) -> Result<(), EncodeError> {
    let count = sql.map_or(0, |sql| if sql.starts_with("COPY") { 0 } else { columns(sql) });
    if count == 0 {
        encode::no_data(out);
        return Ok(());
    }
    encode::row_description(out, &vec![column(); count])
}

fn column() -> Column<'static> {
    Column {
        name: "c",
        table_oid: 0,
        attribute: 0,
        type_oid: 25,
        type_size: -1,
        type_modifier: -1,
        format: 0,
    }
}

/// The last cells are keys, whichever are.
fn row(out: &mut BytesMut, count: usize) -> Result<(), EncodeError> {
    let mut cells = vec![Some(MARK); count.saturating_sub(1)];
    cells.push(Some(b"1"));
    encode::data_row(out, cells)
}

fn copy(out: &mut BytesMut, count: usize) -> Result<(), EncodeError> {
    encode::copy_out_response(out, &CopyFormats { overall: 0, columns: vec![0; count] })?;
    for delimiter in ["\t", ","] {
        let mut line = vec![String::from_utf8_lossy(MARK).into_owned(); count.saturating_sub(1)];
        line.push("1\n".to_owned());
        encode::copy_data(out, line.join(delimiter).as_bytes())?;
    }
    encode::copy_done(out);
    encode::command_complete(out, "COPY 2")
}

fn error(out: &mut BytesMut, code: &str, message: &str) -> Result<(), EncodeError> {
    let fields = vec![(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', message)];
    encode::report_fields(out, b'E', &ReportFields(fields))
}

/// A well-formed message that may be out of place.
pub(super) fn any(script: &mut Script<'_>) -> Vec<Frame> {
    let mut out = BytesMut::new();
    // What is not written is not said.
    let _ = write_any(script, &mut out);
    frames(&out)
}

fn write_any(script: &mut Script<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mark = String::from_utf8_lossy(MARK).into_owned();
    match script.byte() % 24 {
        0 => encode::parse_complete(out),
        1 => encode::bind_complete(out),
        2 => encode::close_complete(out),
        3 => encode::no_data(out),
        4 => encode::portal_suspended(out),
        5 => encode::empty_query_response(out),
        6 => encode::copy_done(out),
        7 => encode::ready_for_query(out, TransactionStatus::Idle),
        8 => encode::ready_for_query(out, TransactionStatus::InTransaction),
        9 => encode::ready_for_query(out, TransactionStatus::Failed),
        10 | 11 => row(out, script.number(5))?,
        12 => encode::row_description(out, &vec![column(); script.number(5)])?,
        13 => encode::parameter_description(out, &vec![25; script.number(4)])?,
        14 => encode::command_complete(out, &format!("SELECT {}", script.byte()))?,
        15 => encode::command_complete(out, "COMMIT")?,
        16 => error(out, "22012", &mark)?,
        17 => error(out, "42601", "syntax error")?,
        18 => {
            let fields = vec![(b'V', "FATAL"), (b'M', mark.as_str())];
            encode::report_fields(out, b'E', &ReportFields(fields))?;
        }
        19 => {
            let fields = vec![(b'S', "NOTICE"), (b'M', "hear")];
            encode::report_fields(out, b'N', &ReportFields(fields))?;
        }
        20 => encode::parameter_status(out, "TimeZone", "UTC")?,
        21 => encode::copy_data(out, format!("{mark}\t1\n").as_bytes())?,
        22 => {
            let formats = CopyFormats { overall: 0, columns: vec![0; script.number(5)] };
            if script.number(2) == 0 {
                encode::copy_out_response(out, &formats)?;
            } else {
                encode::copy_in_response(out, &formats)?;
            }
        }
        _ => encode::notification_response(out, 1, "channel", &mark)?,
    }
    Ok(())
}
