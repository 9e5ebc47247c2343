"""The C++ core of elman. Private: use the elman package."""



def config() -> dict:
    """Version, instruction set, float32 lanes, compiler, Eigen and threads."""

def set_num_threads(threads: int) -> None:
    """Sets how many threads a kernel may use, the calling one included."""

def get_num_threads() -> int:
    """How many threads a kernel may use, the calling one included."""
