//! A connection that stops in the middle of an answer, so that a test has all the time it needs to stop it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Passes everything on to `server`, but of streamed answers only the first bytes. The receiver hears when a browser gives such
/// an answer up. Threads end with their connections.
pub fn holding(server: SocketAddr, stream_bytes: usize) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (sender, server) = (sender.clone(), TcpStream::connect(server).expect("the server"));
            thread::spawn(move || pass(client, server, stream_bytes, &sender));
        }
    });
    (address, receiver)
}

fn pass(client: TcpStream, server: TcpStream, stream_bytes: usize, given_up: &Sender<()>) {
    let (mut from, mut to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
    let questions = thread::spawn(move || {
        // Ends when the browser has gone.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    let mut buffer = [0; 4096];
    let mut left = None;
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let piece = &buffer[..size];
        if left.is_none() && String::from_utf8_lossy(piece).to_lowercase().contains("text/event-stream") {
            left = Some(stream_bytes);
        }
        let passed = size.min(left.unwrap_or(usize::MAX));
        if to.write_all(&piece[..passed]).is_err() {
            break;
        }
        if let Some(bytes) = &mut left {
            *bytes -= passed;
            if *bytes == 0 {
                // Nothing more comes; the questions end when the browser closes.
                let _ = questions.join();
                let _ = given_up.send(());
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
