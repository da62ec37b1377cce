//! Sockets and processes: what is granted works as in CPython, what is not is refused by its capability's name, and
//! waiting does not outlast a limit. Everything stays on this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use pyc_driver::{Capabilities, Limits, Options, Outcome, run_captured};

/// Counts, for the limit on memory.
#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn run(text: &str, allow: &str, seconds: f64) -> Outcome {
    let mut capabilities = Capabilities::default();
    capabilities.grant(allow).unwrap();
    let mut limits = Limits::default();
    limits.time = Some(Duration::from_secs_f64(seconds));
    run_captured(text, "case.py", Options { capabilities, limits, ..Options::default() }).unwrap()
}

fn printed(text: &str, allow: &str) -> String {
    let outcome = run(text, allow, 60.0);
    assert_eq!((outcome.exit, outcome.errors.as_str()), (0, ""), "{text}");
    outcome.output
}

/// A server for one connection: answers what it gets in capitals until the other side has ended.
fn shouting() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..read].to_ascii_uppercase()).unwrap();
        }
    });
    (port, server)
}

#[test]
fn a_connection_carries_bytes_both_ways() {
    let (port, server) = shouting();
    let text = format!(
        "import socket\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         print(s.getpeername()[0], s.type == socket.SOCK_STREAM)\n\
         s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n\
         s.sendall(b'many words ' * 20000)\n\
         s.shutdown(socket.SHUT_WR)\n\
         got = b''\n\
         while part := s.recv(4096):\n\
         \x20   got += part\n\
         print(len(got), got[:11])\n\
         s.close()\n"
    );
    assert_eq!(
        printed(&text, &format!("net.connect=127.0.0.1:{port}")),
        "127.0.0.1 True\n220000 b'MANY WORDS '\n"
    );
    server.join().unwrap();
}

#[test]
fn asyncio_and_makefile_work_over_it() {
    let (port, server) = shouting();
    let text = format!(
        "import asyncio\n\
         async def main():\n\
         \x20   r, w = await asyncio.open_connection('localhost', {port}, family=2)\n\
         \x20   w.write(b'one\\ntwo\\n')\n\
         \x20   await w.drain()\n\
         \x20   print(await r.readline(), await r.readline())\n\
         \x20   w.close()\n\
         \x20   await w.wait_closed()\n\
         asyncio.run(main())\n"
    );
    assert_eq!(printed(&text, &format!("net.connect=localhost:{port},clock")), "b'ONE\\n' b'TWO\\n'\n");
    server.join().unwrap();
    let (port, server) = shouting();
    let text = format!(
        "import socket\n\
         with socket.create_connection(('127.0.0.1', {port}), timeout=20) as s, s.makefile('rw', newline='\\n') as f:\n\
         \x20   f.write('hello\\n'); f.flush()\n\
         \x20   print(f.readline())\n"
    );
    assert_eq!(printed(&text, &format!("net.connect=127.0.0.1:{port}")), "HELLO\n\n");
    server.join().unwrap();
}

#[test]
fn a_program_talks_to_itself_over_a_listening_socket() {
    let text = "import socket, select\n\
        a = socket.create_server(('127.0.0.1', 0))\n\
        b = socket.create_connection(a.getsockname())\n\
        print(select.select([a], [], [], 5)[0] == [a])\n\
        c, where = a.accept()\n\
        print(where == b.getsockname())\n\
        b.send(b'x')\n\
        print(c.recv(10, socket.MSG_PEEK), c.recv(10))\n\
        c.settimeout(0.05)\n\
        try:\n\
        \x20   c.recv(1)\n\
        except TimeoutError as e:\n\
        \x20   print(e)\n\
        c.setblocking(False)\n\
        try:\n\
        \x20   c.recv(1)\n\
        except BlockingIOError as e:\n\
        \x20   print('would block')\n\
        b.close()\n\
        print(select.select([c], [], [], 5)[0] == [c], c.recv(1))\n";
    assert_eq!(
        printed(text, "net.listen=127.0.0.1:*,net.connect=127.0.0.1:*"),
        "True\nTrue\nb'x' b'x'\ntimed out\nwould block\nTrue b''\n"
    );
}

#[test]
fn what_is_not_granted_is_named() {
    let says = |text: &str, allow: &str, what: &str| {
        let outcome = run(text, allow, 20.0);
        assert_eq!(outcome.exit, 1, "{text}: {}", outcome.errors);
        assert!(outcome.errors.contains("PermissionError"), "{}", outcome.errors);
        assert!(outcome.errors.contains(&format!("capability '{what}'")), "{}", outcome.errors);
    };
    let connect = "import socket\nsocket.create_connection(('127.0.0.1', 9))\n";
    says(connect, "", "net.connect=127.0.0.1:9");
    says(connect, "net.connect=127.0.0.1:10,net.connect=127.0.0.2:9", "net.connect=127.0.0.1:9");
    says(
        "import socket\nsocket.getaddrinfo('example.org', 80)\n",
        "net.connect=localhost:80",
        "net.connect=example.org:*",
    );
    says(
        "import socket\nsocket.create_server(('127.0.0.1', 0))\n",
        "net.connect=127.0.0.1:*",
        "net.listen=127.0.0.1:0",
    );
    says("import subprocess\nsubprocess.run(['true'])\n", "clock", "process");
    says("import os\nos.pipe()\n", "", "process");
}

#[test]
fn nobody_answers() {
    // The port was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "import socket\n\
         try:\n\
         \x20   socket.create_connection(('127.0.0.1', {port}))\n\
         except ConnectionRefusedError as e:\n\
         \x20   print(e.errno)\n"
    );
    assert_eq!(printed(&text, "net.connect=127.0.0.1:*"), "111\n");
}

#[test]
fn processes_are_started_and_waited_for() {
    let text = "import subprocess\n\
        print(subprocess.run(['cat'], input=b'through', capture_output=True).stdout)\n\
        r = subprocess.run('echo out; echo err >&2; exit 3', shell=True, capture_output=True, text=True)\n\
        print(r.returncode, r.stdout, r.stderr)\n\
        print(subprocess.check_output(['sh', '-c', 'echo $A'], env={'A': 'mine', 'PATH': '/bin:/usr/bin'}))\n\
        try:\n\
        \x20   subprocess.run(['/nowhere/at/all'])\n\
        except FileNotFoundError as e:\n\
        \x20   print(e)\n\
        p = subprocess.Popen(['sleep', '100'])\n\
        print(p.poll())\n\
        p.terminate()\n\
        print(p.wait())\n\
        try:\n\
        \x20   subprocess.run(['sleep', '100'], timeout=0.05)\n\
        except subprocess.TimeoutExpired as e:\n\
        \x20   print('too long')\n";
    assert_eq!(
        printed(text, "process,clock,env.read=PATH,fs.read=/"),
        "b'through'\n3 out\n err\n\nb'mine\\n'\n[Errno 2] No such file or directory: '/nowhere/at/all'\nNone\n-15\ntoo long\n"
    );
}

#[test]
fn waiting_does_not_outlast_a_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for text in [
        format!("import socket\nsocket.create_connection(('127.0.0.1', {port})).recv(1)\n"),
        "import socket\nsocket.create_server(('127.0.0.1', 0)).accept()\n".to_string(),
        "import os\nr, w = os.pipe()\nos.read(r, 1)\n".to_string(),
        "import subprocess\nsubprocess.run(['sleep', '1000'], stdout=subprocess.PIPE)\n".to_string(),
    ] {
        let start = Instant::now();
        let allow = "net.connect=127.0.0.1:*,net.listen=127.0.0.1:*,process,clock,env.read=PATH,fs.read=/";
        let outcome = run(&text, allow, 0.5);
        assert_eq!(outcome.exit, 124, "{text}: {}", outcome.errors);
        assert!(start.elapsed() < Duration::from_secs(100), "{text}");
    }
}
