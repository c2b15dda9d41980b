//! An API that answers with the status that the path ends in.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Starts it; it runs until the test's runtime ends.
pub async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(stream: TcpStream) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut status = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(path) = line.strip_prefix("GET ") {
            path.split(' ').next().unwrap().rsplit('/').next().unwrap().clone_into(&mut status);
        }
        if line.is_empty() {
            let length = if status == "204" { "" } else { "Content-Length: 0\r\n" };
            let answer = format!("HTTP/1.1 {status} As asked\r\n{length}\r\n");
            if writer.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
