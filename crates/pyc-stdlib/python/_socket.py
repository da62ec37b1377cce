"""Sockets inside the program: `socketpair` works, everything that leaves the program is refused.

An event loop needs a pair of connected sockets to wake itself; it is two queues here. Handles are numbers that no
file has.
"""

import errno as _errno

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


def _refuse(address):
    if isinstance(address, tuple) and len(address) >= 2:
        address = "%s:%s" % (address[0], address[1])
    raise PermissionError(
        _errno.EACCES,
        "capability 'net.connect=%s' is not granted: sockets that leave the program are not supported" % (address,),
    )


class _Channel:
    """One direction of a pair: bytes on their way."""

    def __init__(self):
        self.data = bytearray()
        self.closed = False


class socket:
    """A socket as `_socket.socket`; only those that `socketpair` made are connected."""

    __slots__ = ("_in", "_out", "_timeout", "_kind", "_handle")

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        self._in = self._out = None
        self._timeout = _default_timeout
        if fileno is not None:
            other = _open.get(fileno)
            if other is None:
                raise OSError(_errno.EBADF, "Bad file descriptor")
            self._handle = fileno
            self._in, self._out = other._in, other._out
            self._kind = other._kind
            _open[fileno] = self
            return
        kind = SOCK_STREAM if type == -1 else type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)
        self._kind = (AF_INET if family == -1 else family, kind, 0 if proto == -1 else proto)
        self._handle = _FIRST_HANDLE
        while self._handle in _open:
            self._handle += 1
        _open[self._handle] = self

    @property
    def family(self):
        return self._kind[0]

    @property
    def type(self):
        return self._kind[1]

    @property
    def proto(self):
        return self._kind[2]

    @property
    def timeout(self):
        return self._timeout

    def fileno(self):
        return self._handle

    def close(self):
        if self._handle != -1:
            _open.pop(self._handle, None)
            self._handle = -1
            if self._out is not None:
                self._out.closed = True

    def detach(self):
        handle, self._handle = self._handle, -1
        return handle

    def shutdown(self, how, /):
        if self._out is None:
            raise OSError(_errno.ENOTCONN, "Transport endpoint is not connected")
        if how in (SHUT_WR, SHUT_RDWR):
            self._out.closed = True

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

    def _ready_to_read(self):
        return self._in is not None and (len(self._in.data) > 0 or self._in.closed)

    def _connected(self):
        if self._handle == -1:
            raise OSError(_errno.EBADF, "Bad file descriptor")
        if self._in is None:
            raise OSError(_errno.ENOTCONN, "Transport endpoint is not connected")

    def recv(self, bufsize, flags=0, /):
        self._connected()
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if not self._ready_to_read():
            # Nothing else runs that could fill the queue while this one waits.
            if self._timeout is None or self._timeout == 0.0:
                raise BlockingIOError(_errno.EAGAIN, "Resource temporarily unavailable")
            raise TimeoutError("timed out")
        taken = bytes(self._in.data[:bufsize])
        if not flags & MSG_PEEK:
            del self._in.data[:bufsize]
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
        if self._out.closed:
            raise BrokenPipeError(_errno.EPIPE, "Broken pipe")
        data = bytes(data)
        self._out.data += data
        return len(data)

    def sendall(self, data, flags=0, /):
        self.send(data, flags)

    def connect(self, address, /):
        _refuse(address)

    def connect_ex(self, address, /):
        return _errno.EACCES

    def bind(self, address, /):
        _refuse(address)

    def listen(self, backlog=0, /):
        _refuse("a listening socket")

    def _accept(self):
        raise OSError(_errno.EINVAL, "Invalid argument")

    def sendto(self, data, *rest):
        _refuse(rest[-1])

    def getsockname(self):
        return "" if self._kind[0] == AF_UNIX else ("0.0.0.0", 0)

    def getpeername(self):
        self._connected()
        return ""

    def getsockopt(self, level, option, length=None, /):
        if level == SOL_SOCKET and option == SO_TYPE:
            return self._kind[1]
        return 0 if length is None else bytes(length)

    def setsockopt(self, level, option, value, length=None, /):
        pass

    def __repr__(self):
        return "<socket object, fd=%d, family=%d, type=%d, proto=%d>" % (
            self._handle,
            *self._kind,
        )


SocketType = socket


def socketpair(family=AF_UNIX, type=SOCK_STREAM, proto=0, /):
    one, other = socket(family, type, proto), socket(family, type, proto)
    there, back = _Channel(), _Channel()
    one._in, one._out, other._in, other._out = back, there, there, back
    return one, other


def close(fd, /):
    found = _open.get(fd)
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
    try:
        inet_aton(host or "127.0.0.1")
    except OSError:
        _refuse((host, port))
    number = int(port) if port else 0
    return [(AF_INET, type or SOCK_STREAM, proto or IPPROTO_TCP, "", (host or "127.0.0.1", number))]


def gethostbyname(host, /):
    try:
        inet_aton(host)
    except OSError:
        _refuse((host, "*"))
    return host


def gethostbyaddr(host, /):
    _refuse((host, "*"))


def getnameinfo(sockaddr, flags, /):
    return sockaddr[0], str(sockaddr[1])


def getservbyname(name, protocol=None, /):
    raise OSError("service/proto not found")


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
