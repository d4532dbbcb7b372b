//! A server that answers from a script, one answer per request, and keeps what it was asked.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A scripted answer: status and body.
pub(crate) type Answer = (u16, String);

/// The form fields of one request, as EC2's query protocol sends them.
pub(crate) type Form = BTreeMap<String, String>;

/// The running server.
pub(crate) struct Canned {
    /// Its endpoint.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Form>>>,
}

impl Canned {
    /// Starts it; once the script has run out it repeats its last answer.
    pub(crate) async fn start(script: Vec<Answer>) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, script, Arc::clone(&asked)));
        Canned { url, asked }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Form> {
        self.asked
            .lock()
            .expect("nothing panics while it holds the lock")
            .clone()
    }
}

async fn serve(listener: TcpListener, script: Vec<Answer>, asked: Arc<Mutex<Vec<Form>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Ok(form) = read(&mut stream).await else {
            continue;
        };
        let index = {
            let mut asked = asked.lock().expect("nothing panics while it holds the lock");
            asked.push(form);
            asked.len() - 1
        };
        let (status, body) = script
            .get(index)
            .or(script.last())
            .expect("a script has an answer");
        let answer = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        // A client that has gone away is its own test's business.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Form> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    Ok(form(&String::from_utf8_lossy(&body)))
}

fn form(body: &str) -> Form {
    body.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("the SDK encodes bytes in two digits")
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).expect("the SDK sends UTF-8")
}
