"""TCP sockets over `_net`, and pairs of sockets inside the program.

Connections need the capability `net.connect`, listening needs `net.listen`. An event loop needs a pair of connected
sockets to wake itself; it is two queues here. `fileno()` gives numbers that no file has; the host's handle stands
behind them. Datagrams and sockets of the file system are refused.
"""

import errno as _errno
import _net

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET = 1, 2, 3, 4, 5
SOCK_NONBLOCK, SOCK_CLOEXEC = 0o4000, 0o2000000
SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP = 1, 0, 6, 17
SO_DEBUG, SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_BROADCAST = 1, 2, 3, 4, 6
SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_LINGER, SO_REUSEPORT = 7, 8, 9, 13, 15
SOMAXCONN = 4096
IPPROTO_IP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 1, 6, 17, 41
IPV6_V6ONLY = 26
TCP_NODELAY = 1
MSG_OOB, MSG_PEEK, MSG_DONTWAIT, MSG_NOSIGNAL = 1, 2, 0x40, 0x4000
SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2
AI_PASSIVE, AI_CANONNAME, AI_NUMERICHOST, AI_NUMERICSERV = 1, 2, 4, 0x400
NI_NUMERICHOST, NI_NUMERICSERV = 1, 2
EAI_NONAME, EAI_FAMILY, EAI_SERVICE = -2, -6, -8
INADDR_ANY, INADDR_LOOPBACK, INADDR_BROADCAST = 0, 0x7F000001, 0xFFFFFFFF
has_ipv6 = True

error = OSError
timeout = TimeoutError


class herror(OSError):
    pass


class gaierror(OSError):
    pass


_FIRST_HANDLE = 1 << 20
_open = {}
_default_timeout = None


def _refuse(what):
    raise OSError(_errno.EPROTONOSUPPORT, "%s is not supported: there are TCP sockets only" % what)


_OPTIONS = {
    (SOL_SOCKET, SO_REUSEADDR): "reuseaddr",
    (SOL_SOCKET, SO_KEEPALIVE): "keepalive",
    (SOL_SOCKET, SO_SNDBUF): "sndbuf",
    (SOL_SOCKET, SO_RCVBUF): "rcvbuf",
    (IPPROTO_TCP, TCP_NODELAY): "nodelay",
}


def _endpoint(address, passive=False):
    """Address and port as the host wants them; a name is looked up."""
    if not isinstance(address, tuple) or not 2 <= len(address) <= 4:
        raise TypeError("AF_INET address must be tuple, not %s" % type(address).__name__)
    host, port = address[:2]
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii")
    if not isinstance(port, int):
        raise TypeError("'%s' object cannot be interpreted as an integer" % type(port).__name__)
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535.")
    return _lookup(host, passive)[0], port


def _is_address(host):
    if ":" in host:
        return True
    parts = host.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts)


def _lookup(host, passive=False):
    if not host:
        return ["0.0.0.0" if passive else "127.0.0.1"]
    if host == "<broadcast>":
        _refuse("a broadcast")
    if _is_address(host):
        return [host]
    try:
        return _net.resolve(host)
    except PermissionError:
        raise
    except OSError:
        raise gaierror(EAI_NONAME, "Name or service not known") from None


def _shown(family, address):
    return address + (0, 0) if family == AF_INET6 else address


class _Channel:
    """One direction of a pair: bytes on their way."""

    def __init__(self):
        self.data = bytearray()
        self.closed = False


class _State:
    """What stands behind a number: a socket of the host, or both directions of a pair."""

    __slots__ = ("incoming", "outgoing", "real", "kind", "options")

    def __init__(self, kind):
        self.incoming = self.outgoing = self.real = None
        self.kind = kind
        self.options = {}

    def keep(self):
        number = _FIRST_HANDLE
        while number in _open:
            number += 1
        _open[number] = self
        return number

    def ready_to_read(self):
        return self.incoming is not None and (len(self.incoming.data) > 0 or self.incoming.closed)

    def close(self):
        if self.outgoing is not None:
            self.outgoing.closed = True
        if self.real is not None:
            real, self.real = self.real, None
            _net.close(real)


class socket:
    """A socket as `_socket.socket`: connected to the outside, or to the other one of a pair."""

    __slots__ = ("_state", "_timeout", "_handle")

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        self._timeout = _default_timeout
        self._handle = -1
        if fileno is not None:
            self._state = _open.get(fileno)
            if self._state is None:
                raise OSError(_errno.EBADF, "Bad file descriptor")
            self._handle = fileno
            return
        kind = SOCK_STREAM if type == -1 else type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)
        self._state = _State((AF_INET if family == -1 else family, kind, 0 if proto == -1 else proto))
        self._handle = self._state.keep()

    def __del__(self):
        # When the program ends, the module's names may be gone already; the host closes what is open.
        if self._handle != -1 and _open is not None:
            self.close()

    @property
    def family(self):
        return self._state.kind[0]

    @property
    def type(self):
        return self._state.kind[1]

    @property
    def proto(self):
        return self._state.kind[2]

    @property
    def timeout(self):
        return self._timeout

    def fileno(self):
        return self._handle

    def close(self):
        if self._handle != -1:
            handle, self._handle = self._handle, -1
            _open.pop(handle, None)
            self._state.close()

    def detach(self):
        handle, self._handle = self._handle, -1
        return handle

    def shutdown(self, how, /):
        if self._state.real is not None:
            return _net.shutdown(self._state.real, how)
        if self._state.outgoing is None:
            raise OSError(_errno.ENOTCONN, "Transport endpoint is not connected")
        if how in (SHUT_WR, SHUT_RDWR):
            self._state.outgoing.closed = True

    def setblocking(self, flag, /):
        self._timeout = None if flag else 0.0

    def getblocking(self):
        return self._timeout != 0.0

    def settimeout(self, value, /):
        if value is not None:
            value = float(value)
            if value < 0:
                raise ValueError("Timeout value out of range")
        self._timeout = value

    def gettimeout(self):
        return self._timeout

    def _connected(self):
        if self._handle == -1:
            raise OSError(_errno.EBADF, "Bad file descriptor")
        if self._state.incoming is None and self._state.real is None:
            raise OSError(_errno.ENOTCONN, "Transport endpoint is not connected")

    def recv(self, bufsize, flags=0, /):
        self._connected()
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if self._state.real is not None:
            timeout = 0.0 if flags & MSG_DONTWAIT else self._timeout
            return _net.receive(self._state.real, bufsize, bool(flags & MSG_PEEK), timeout)
        if not self._state.ready_to_read():
            # Nothing else runs that could fill the queue while this one waits.
            if self._timeout is None or self._timeout == 0.0:
                raise BlockingIOError(_errno.EAGAIN, "Resource temporarily unavailable")
            raise TimeoutError("timed out")
        taken = bytes(self._state.incoming.data[:bufsize])
        if not flags & MSG_PEEK:
            del self._state.incoming.data[:bufsize]
        return taken

    def recv_into(self, buffer, nbytes=0, flags=0):
        view = memoryview(buffer)
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize, flags=0, /):
        return self.recv(bufsize, flags), None

    def send(self, data, flags=0, /):
        self._connected()
        if self._state.real is not None:
            return _net.send(self._state.real, data, self._timeout)
        if self._state.outgoing.closed:
            raise BrokenPipeError(_errno.EPIPE, "Broken pipe")
        data = bytes(data)
        self._state.outgoing.data += data
        return len(data)

    def sendall(self, data, flags=0, /):
        if self._state.real is None:
            self.send(data, flags)
            return
        rest = memoryview(bytes(data))
        while rest:
            rest = rest[self.send(rest) :]

    def _stream(self):
        if self._handle == -1:
            raise OSError(_errno.EBADF, "Bad file descriptor")
        if self._state.kind[0] not in (AF_INET, AF_INET6) or self._state.kind[1] != SOCK_STREAM:
            _refuse("this kind of socket")

    def connect(self, address, /):
        self._stream()
        if self._state.real is not None:
            code = _net.error(self._state.real)
            if code:
                raise OSError(code, "connecting failed")
            raise OSError(_errno.EISCONN, "Transport endpoint is already connected")
        ip, port = _endpoint(address)
        self._state.real, done = _net.connect(ip, port, self._timeout, list(self._state.options.items()))
        if not done:
            raise BlockingIOError(_errno.EINPROGRESS, "Operation now in progress")

    def connect_ex(self, address, /):
        try:
            self.connect(address)
        except gaierror:
            raise
        except OSError as error:
            return error.errno or _errno.EAGAIN
        return 0

    def bind(self, address, /):
        self._stream()
        if self._state.real is not None:
            raise OSError(_errno.EINVAL, "Invalid argument")
        ip, port = _endpoint(address, True)
        if self._state.kind[0] == AF_INET6 and ip == "0.0.0.0":
            ip = "::"
        self._state.real = _net.bind(ip, port, list(self._state.options.items()))

    def listen(self, backlog=128, /):
        self._stream()
        if self._state.real is None:
            self.bind(("", 0))
        _net.listen(self._state.real, backlog)

    def _accept(self):
        if self._state.real is None:
            raise OSError(_errno.EINVAL, "Invalid argument")
        real, address = _net.accept(self._state.real, self._timeout)
        made = _State(self._state.kind)
        made.real = real
        # Who asked wraps the number, as it does with the system's.
        return made.keep(), _shown(self._state.kind[0], address)

    def sendto(self, data, *rest):
        _refuse("a datagram")

    def getsockname(self):
        if self._state.real is not None:
            return _shown(self._state.kind[0], _net.address(self._state.real, False))
        return "" if self._state.kind[0] == AF_UNIX else _shown(self._state.kind[0], ("0.0.0.0", 0))

    def getpeername(self):
        self._connected()
        if self._state.real is not None:
            return _shown(self._state.kind[0], _net.address(self._state.real, True))
        return ""

    def getsockopt(self, level, option, length=None, /):
        if level == SOL_SOCKET and option == SO_TYPE:
            value = self._state.kind[1]
        elif level == SOL_SOCKET and option == SO_ERROR:
            value = 0 if self._state.real is None else _net.error(self._state.real)
        elif (level, option) in _OPTIONS:
            value = self._state.options.get(_OPTIONS[level, option], 0)
        else:
            raise OSError(_errno.ENOPROTOOPT, "Protocol not available")
        return value if length is None else value.to_bytes(4, "little")[:length]

    def setsockopt(self, level, option, value, length=None, /):
        name = _OPTIONS.get((level, option))
        if name is None:
            if self._state.kind[0] == AF_INET6 and (level, option) == (IPPROTO_IPV6, IPV6_V6ONLY):
                return
            raise OSError(_errno.ENOPROTOOPT, "Protocol not available")
        if not isinstance(value, int):
            value = int.from_bytes(bytes(value), "little")
        if self._state.real is not None:
            _net.set_option(self._state.real, name, value)
        self._state.options[name] = value

    def __repr__(self):
        return "<socket object, fd=%d, family=%d, type=%d, proto=%d>" % (
            self._handle,
            *self._state.kind,
        )


SocketType = socket


def socketpair(family=AF_UNIX, type=SOCK_STREAM, proto=0, /):
    one, other = socket(family, type, proto), socket(family, type, proto)
    there, back = _Channel(), _Channel()
    one._state.incoming, one._state.outgoing = back, there
    other._state.incoming, other._state.outgoing = there, back
    return one, other


def close(fd, /):
    found = _open.pop(fd, None)
    if found is None:
        raise OSError(_errno.EBADF, "Bad file descriptor")
    found.close()


def dup(fd, /):
    raise OSError(_errno.ENOSYS, "dup of a socket is not supported")


def getdefaulttimeout():
    return _default_timeout


def setdefaulttimeout(timeout, /):
    global _default_timeout
    _default_timeout = None if timeout is None else float(timeout)


def gethostname():
    return "localhost"


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    if isinstance(host, bytes):
        host = host.decode("ascii")
    if type not in (0, SOCK_STREAM):
        raise gaierror(EAI_SERVICE, "Servname not supported for ai_socktype")
    if isinstance(port, (str, bytes)):
        text = port.decode("ascii") if isinstance(port, bytes) else port
        number = int(text) if text.isdigit() else getservbyname(text)
    else:
        number = port or 0
    found = []
    for address in _lookup(host, bool(flags & AI_PASSIVE)):
        kind = AF_INET6 if ":" in address else AF_INET
        if family in (AF_UNSPEC, kind):
            found.append((kind, SOCK_STREAM, IPPROTO_TCP, "", _shown(kind, (address, number))))
    if not found:
        raise gaierror(EAI_FAMILY, "Address family for hostname not supported")
    return found


def gethostbyname(host, /):
    for address in _lookup(host):
        if ":" not in address:
            return address
    raise gaierror(EAI_NONAME, "Name or service not known")


def gethostbyaddr(host, /):
    _refuse("asking for the name of an address")


def getnameinfo(sockaddr, flags, /):
    return sockaddr[0], str(sockaddr[1])


def getservbyname(name, protocol=None, /):
    known = {"http": 80, "https": 443, "ftp": 21, "ssh": 22, "smtp": 25, "domain": 53}
    if name not in known:
        raise OSError("service/proto not found")
    return known[name]


def getservbyport(port, protocol=None, /):
    raise OSError("port/proto not found")


def getprotobyname(name, /):
    known = {"icmp": 1, "tcp": 6, "udp": 17}
    if name not in known:
        raise OSError("protocol not found")
    return known[name]


def htons(x, /):
    return int.from_bytes(x.to_bytes(2, "little"), "big")


def htonl(x, /):
    return int.from_bytes(x.to_bytes(4, "little"), "big")


ntohs, ntohl = htons, htonl


def inet_aton(text, /):
    parts = text.split(".")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts):
        raise OSError("illegal IP address string passed to inet_aton")
    return bytes(int(p) for p in parts)


def inet_ntoa(packed, /):
    packed = bytes(packed)
    if len(packed) != 4:
        raise OSError("packed IP wrong length")
    return ".".join(map(str, packed))


def inet_pton(family, text, /):
    import ipaddress

    try:
        if family == AF_INET:
            return ipaddress.IPv4Address(text).packed
        if family == AF_INET6:
            return ipaddress.IPv6Address(text).packed
    except ValueError:
        raise OSError("illegal IP address string passed to inet_pton") from None
    raise OSError(_errno.EAFNOSUPPORT, "Address family not supported by protocol")


def inet_ntop(family, packed, /):
    import ipaddress

    size = {AF_INET: 4, AF_INET6: 16}.get(family)
    if size is None:
        raise ValueError("unknown address family %d" % family)
    if len(packed) != size:
        raise ValueError("invalid length of packed IP address string")
    return str(ipaddress.ip_address(bytes(packed)))


def if_nameindex():
    return []


def sethostname(name, /):
    raise PermissionError(_errno.EPERM, "Operation not permitted")


CAPI = None
