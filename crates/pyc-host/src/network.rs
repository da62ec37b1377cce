//! TCP sockets, behind `net.connect` and `net.listen`.
//!
//! A socket is a file like others; all are non-blocking, and who waits does so in short turns, so that the limit on
//! time holds. A grant names a host: what its name was resolved to in this run may be connected to, nothing else.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use pyc_runtime::host::SocketOption;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, sockopt};

fn tcp(address: SocketAddr, options: &[(SocketOption, usize)]) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    for (option, value) in options {
        set_option(&socket, *option, *value)?;
    }
    Ok(socket)
}

/// The addresses of a name. Only programs with the module for sockets carry the system's resolver.
#[cfg(not(feature = "full"))]
pub(crate) fn resolve(_: &str) -> io::Result<Vec<IpAddr>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// The addresses of a name.
#[cfg(feature = "full")]
pub(crate) fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    use std::net::ToSocketAddrs as _;
    let mut found = Vec::new();
    for address in (name, 0).to_socket_addrs()? {
        if !found.contains(&address.ip()) {
            found.push(address.ip());
        }
    }
    Ok(found)
}

/// A socket that begins to connect.
pub(crate) fn connect(to: SocketAddr, options: &[(SocketOption, usize)]) -> io::Result<File> {
    let socket = tcp(to, options)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(File::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// A socket with an address.
pub(crate) fn bind(at: SocketAddr, options: &[(SocketOption, usize)]) -> io::Result<File> {
    let socket = tcp(at, options)?;
    rustix::net::bind(&socket, &at)?;
    Ok(File::from(socket))
}

/// The next connection of a listening socket.
pub(crate) fn accept(socket: &File) -> io::Result<(File, SocketAddr)> {
    let (made, from) = rustix::net::acceptfrom(socket)?;
    rustix::io::fcntl_setfd(&made, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&made, true)?;
    let from = from.and_then(|f| SocketAddr::try_from(f).ok());
    let from =
        from.ok_or_else(|| io::Error::from_raw_os_error(rustix::io::Errno::CONNABORTED.raw_os_error()))?;
    Ok((File::from(made), from))
}

pub(crate) fn send(socket: &File, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}

pub(crate) fn receive(socket: &File, limit: usize, peek: bool) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; limit.min(1 << 20)];
    let flags = if peek { RecvFlags::PEEK } else { RecvFlags::empty() };
    let (read, _) = rustix::net::recv(socket, &mut buffer[..], flags)?;
    buffer.truncate(read);
    Ok(buffer)
}

pub(crate) fn shutdown(socket: &File, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    Ok(rustix::net::shutdown(socket, how)?)
}

pub(crate) fn address(socket: &File, peer: bool) -> io::Result<SocketAddr> {
    let found =
        if peer { rustix::net::getpeername(socket)? } else { Some(rustix::net::getsockname(socket)?) };
    found
        .and_then(|a| SocketAddr::try_from(a).ok())
        .ok_or_else(|| io::Error::from_raw_os_error(rustix::io::Errno::NOTCONN.raw_os_error()))
}

pub(crate) fn error(socket: &File) -> io::Result<i32> {
    Ok(sockopt::socket_error(socket)?.err().map_or(0, rustix::io::Errno::raw_os_error))
}

pub(crate) fn set_option(
    socket: impl std::os::fd::AsFd,
    option: SocketOption,
    value: usize,
) -> io::Result<()> {
    match option {
        SocketOption::NoDelay => sockopt::set_tcp_nodelay(socket, value != 0)?,
        SocketOption::KeepAlive => sockopt::set_socket_keepalive(socket, value != 0)?,
        SocketOption::ReuseAddress => sockopt::set_socket_reuseaddr(socket, value != 0)?,
        SocketOption::SendBuffer => sockopt::set_socket_send_buffer_size(socket, value)?,
        SocketOption::ReceiveBuffer => sockopt::set_socket_recv_buffer_size(socket, value)?,
    }
    Ok(())
}

/// Waits as [`pyc_runtime::host::Host::wait`] says.
pub(crate) fn wait(files: &[(&File, u16)], time: Duration) -> io::Result<Vec<u16>> {
    let mut polled: Vec<PollFd<'_>> =
        files.iter().map(|(file, mask)| PollFd::new(*file, PollFlags::from_bits_truncate(*mask))).collect();
    let time = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    };
    match rustix::event::poll(&mut polled, Some(&time)) {
        Ok(_) => Ok(polled.iter().map(|p| p.revents().bits()).collect()),
        // A signal came: nothing is ready.
        Err(rustix::io::Errno::INTR) => Ok(vec![0; files.len()]),
        Err(error) => Err(error.into()),
    }
}
