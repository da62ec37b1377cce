"""The variables of the build; there is no C compiler behind this Python."""

build_time_vars = {
    "ABIFLAGS": "",
    "EXT_SUFFIX": "",
    "Py_DEBUG": 0,
    "Py_GIL_DISABLED": 0,
    "Py_ENABLE_SHARED": 0,
    "PYTHONFRAMEWORK": "",
    "SIZEOF_VOID_P": 8,
}
