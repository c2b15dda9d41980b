//! The API behind the gateway: the same short answer to every request, on a thread of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

/// Starts it; it runs until the process ends. A thread for each connection: a gateway keeps few.
pub fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut writer = stream.try_clone().unwrap();
                let mut line = Vec::new();
                let mut reader = BufReader::new(stream);
                // A request ends with an empty line; none here has a body.
                while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                    if line == b"\r\n" && writer.write_all(ANSWER).is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    address
}
