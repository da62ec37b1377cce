"""There are no processes: programs are granted none."""


def fork_exec(*arguments):
    raise PermissionError(1, "capability 'process' is not granted: programs cannot start processes")
