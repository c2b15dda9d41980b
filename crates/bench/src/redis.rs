//! Writes a record of each key into Redis, for the peer that looks keys up there.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use rndrkit_domain::key_text::Digest;

use crate::arguments::Arguments;
use crate::keys;

/// Keys of one account, as `seed` has it.
const KEYS_OF_ACCOUNT: usize = 5;

/// `rndrkit-bench redis`: one `SET` for each key, and `QUIT`, which the server answers last.
pub(crate) fn fill(arguments: &Arguments) {
    let address = (Ipv4Addr::LOCALHOST, arguments.number("port", 6_379));
    let mut stream = TcpStream::connect(address).expect("Redis");
    let mut orders = Vec::new();
    for (number, key) in keys::read(arguments.text("keys")).iter().enumerate() {
        let name = [b"key:".as_slice(), &Digest::of(key).0].concat();
        let record = format!("{} bench", number / KEYS_OF_ACCOUNT);
        order(&mut orders, &[b"SET", &name, record.as_bytes()]);
    }
    order(&mut orders, &[b"QUIT"]);
    let mut reader = stream.try_clone().expect("a second handle");
    // Its answers have to be taken while we write, or both sides wait.
    let answers = std::thread::spawn(move || {
        let mut answers = Vec::new();
        reader.read_to_end(&mut answers).map(|_| answers)
    });
    stream.write_all(&orders).expect("Redis takes the orders");
    let answers = answers.join().expect("the reader ends").expect("Redis answers");
    assert!(
        !answers.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"-")),
        "Redis refused an order"
    );
}

/// A command as Redis's protocol has it: an array of strings with their lengths.
fn order(into: &mut Vec<u8>, words: &[&[u8]]) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        into.extend_from_slice(word);
        into.extend_from_slice(b"\r\n");
    }
}
