//! As much of HTTP/1.1 as witnesses and who fetches metrics need: short texts, no encryption. What
//! witnesses are sent is signed and secret to nobody; metrics do not leave the machine.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// The longest head, and the longest body.
const HEAD_BYTES_MAX: u64 = 16 << 10;
const BODY_BYTES_MAX: u64 = 64 << 10;
/// How long the other side may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
    /// The connection is to be closed behind the reply.
    pub(crate) last: bool,
}

/// A kind of text.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers the requests of a connection, each with what [`reply`] makes, until there is no more.
///
/// # Errors
/// Of the connection, and of one on which nothing comes for a while.
pub(crate) fn serve(
    stream: TcpStream,
    mut answer: impl FnMut(&Request) -> String,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    loop {
        let request = match read_request(&mut stream) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                let reply = reply(400, PLAIN, &format!("{error}\n"));
                return stream.get_mut().write_all(reply.as_bytes());
            }
        };
        stream.get_mut().write_all(answer(&request).as_bytes())?;
        if request.last {
            return Ok(());
        }
    }
}

/// The next request of a connection; `None` if there is no more. An error says that it is none,
/// or too long.
fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some((first, fields)) = read_head(stream)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid("not a request of HTTP/1"));
    };
    let body = String::from_utf8(read_body(stream, &fields)?);
    let body = body.map_err(|_| invalid("a body that is no text"))?;
    let last = first.ends_with('0') || fields.is("connection", "close");
    Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), body, last }))
}

/// The text of a reply.
pub(crate) fn reply(status: u16, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        if status == 200 { "OK" } else { "No" },
        body.len()
    )
}

/// Posts a text; the reply's status and body.
pub(crate) fn post(url: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let (status, reply) = post_bytes(url, PLAIN, body.as_bytes())?;
    Ok((status, String::from_utf8(reply).context("its reply is no text")?))
}

/// Posts bytes of that media type; the reply's status and body.
pub(crate) fn post_bytes(url: &str, kind: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let Url { host, port, path } = Url::parse(url)?;
    let mut addresses = (host, port).to_socket_addrs()?;
    let address = addresses.next().with_context(|| format!("`{host}` has no address"))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
    let (first, fields) = read_head(&mut stream)?.context("it hung up")?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok()).context("it speaks no HTTP")?;
    Ok((status, read_body(&mut stream, &fields)?))
}

/// The parts of `http://HOST[:PORT][/PATH]`.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("an address begins with http://")?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().context("not a port")?),
            None => (authority, 80),
        };
        ensure!(!host.is_empty(), "an address names a host");
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            bail!("an address has no blanks");
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self { host, port, path: if path.is_empty() { "/" } else { path } })
    }
}

/// Says whether a text is an address that [`post`] can use.
pub(crate) fn check_url(url: &str) -> anyhow::Result<()> {
    Url::parse(url).map(drop)
}

struct Fields(Vec<(String, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The first line and the fields; names in lower case.
fn read_head(stream: &mut impl BufRead) -> io::Result<Option<(String, Fields)>> {
    let mut head = stream.take(HEAD_BYTES_MAX);
    let mut line = || {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.strip_suffix('\n') {
            Some(whole) => Ok(Some(whole.trim_end_matches('\r').to_owned())),
            None => Err(invalid("a head that is too long, or cut short")),
        }
    };
    let Some(first) = line()? else { return Ok(None) };
    let mut fields = Vec::new();
    loop {
        let next = line()?.ok_or_else(|| invalid("a head that is cut short"))?;
        if next.is_empty() {
            return Ok(Some((first, Fields(fields))));
        }
        let (name, value) =
            next.split_once(':').ok_or_else(|| invalid("a field without a name"))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(stream: &mut impl BufRead, fields: &Fields) -> io::Result<Vec<u8>> {
    if fields.get("transfer-encoding").is_some() {
        return Err(invalid("a body in parts"));
    }
    let length = match fields.get("content-length") {
        Some(length) => length.parse().map_err(|_| invalid("a length that is no number"))?,
        None => 0,
    };
    if length > BODY_BYTES_MAX {
        return Err(invalid("a body that is too long"));
    }
    let mut body = Vec::new();
    if stream.take(length).read_to_end(&mut body)? as u64 != length {
        return Err(invalid("a body that is cut short"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(text: &str) -> Vec<Option<Request>> {
        let mut stream = text.as_bytes();
        let mut found = Vec::new();
        loop {
            match read_request(&mut stream) {
                Ok(Some(request)) => found.push(Some(request)),
                Ok(None) => return found,
                Err(_) => {
                    found.push(None);
                    return found;
                }
            }
        }
    }

    #[test]
    fn requests_follow_one_another_on_a_connection() {
        let text = "POST /add-checkpoint HTTP/1.1\r\nContent-Length: 5\r\n\r\nold 0GET / HTTP/1.1\n\
                    connection: Close\n\n";
        let request = |method: &str, path: &str, body: &str, last| {
            let (method, path, body) = (method.to_owned(), path.to_owned(), body.to_owned());
            Some(Request { method, path, body, last })
        };
        let expected =
            [request("POST", "/add-checkpoint", "old 0", false), request("GET", "/", "", true)];
        assert_eq!(requests(text), expected);
    }

    #[test]
    fn what_is_no_request_or_too_long_is_refused() {
        let long = "x".repeat(20 << 10);
        for text in [
            "hello\r\n\r\n".to_owned(),
            "GET / HTTP/2\r\n\r\n".to_owned(),
            format!("GET /{long} HTTP/1.1\r\n\r\n"),
            "POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nold".to_owned(),
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nno name\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\n".to_owned(),
        ] {
            assert_eq!(requests(&text), [None], "{text}");
        }
    }

    #[test]
    fn an_address_is_host_port_and_path() {
        let url = |text| Url::parse(text).ok().map(|url| (url.host, url.port, url.path));
        assert_eq!(url("http://w.example:7400/a/b"), Some(("w.example", 7400, "/a/b")));
        assert_eq!(url("http://[::1]:7400"), Some(("::1", 7400, "/")));
        assert_eq!(url("http://w.example"), Some(("w.example", 80, "/")));
        for wrong in ["https://w.example", "http://", "http://w:port", "http://w /x", "w.example"] {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
