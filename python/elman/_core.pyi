"""The C++ core of elman. Private: use the elman package."""

from collections.abc import Iterator, Sequence


def config() -> dict:
    """Version, instruction set, float32 lanes, compiler, Eigen and threads."""

def set_num_threads(threads: int) -> None:
    """Sets how many threads a kernel may use, the calling one included."""

def get_num_threads() -> int:
    """How many threads a kernel may use, the calling one included."""

class Tensor:
    """An n-dimensional array of float32, float64, int32, int64 or bool."""

    def __init__(self, array: object | None, dtype: object | None = None) -> None:
        """
        A C-contiguous array of a supported dtype is not copied: later changes to it show, unless a tape records.
        """

    @property
    def shape(self) -> tuple: ...

    @property
    def dtype(self) -> str: ...

    @property
    def ndim(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def T(self) -> Tensor: ...

    def numpy(self) -> object:
        """A read-only numpy view of the values, without a copy."""

    def item(self) -> object:
        """The value of a tensor with one element as a Python number."""

    def tolist(self) -> object: ...

    def copy(self) -> Tensor:
        """A copy that no tape knows."""

    def reshape(self, *args) -> object:
        """The same values under another shape; one dimension may be -1."""

    def astype(self, dtype: object) -> Tensor:
        """The values in another element type."""

    def __array__(self, dtype: object | None = None, copy: object | None = None) -> object: ...

    def __dlpack__(self, **kwargs) -> object: ...

    def __dlpack_device__(self) -> tuple: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator: ...

    def __float__(self) -> float: ...

    def __int__(self) -> int: ...

    def __index__(self) -> object: ...

    def __bool__(self) -> bool: ...

    def __repr__(self) -> str: ...

    def __reduce__(self) -> tuple: ...

    def __copy__(self) -> object: ...

    __array_priority__: int = 1000

    def __hash__(self, /):
        """Return hash(self)."""

    def __add__(self, other: object | None) -> object: ...

    def __radd__(self, other: object | None) -> object: ...

    def __sub__(self, other: object | None) -> object: ...

    def __rsub__(self, other: object | None) -> object: ...

    def __mul__(self, other: object | None) -> object: ...

    def __rmul__(self, other: object | None) -> object: ...

    def __truediv__(self, other: object | None) -> object: ...

    def __rtruediv__(self, other: object | None) -> object: ...

    def __floordiv__(self, other: object | None) -> object: ...

    def __rfloordiv__(self, other: object | None) -> object: ...

    def __mod__(self, other: object | None) -> object: ...

    def __rmod__(self, other: object | None) -> object: ...

    def __pow__(self, other: object | None) -> object: ...

    def __rpow__(self, other: object | None) -> object: ...

    def __eq__(self, other: object, /) -> Tensor: ...  # pyright: ignore[reportIncompatibleMethodOverride]

    def __ne__(self, other: object, /) -> Tensor: ...  # pyright: ignore[reportIncompatibleMethodOverride]

    def __lt__(self, other: object | None) -> object: ...

    def __le__(self, other: object | None) -> object: ...

    def __gt__(self, other: object | None) -> object: ...

    def __ge__(self, other: object | None) -> object: ...

    def __and__(self, other: object | None) -> object: ...

    def __rand__(self, other: object | None) -> object: ...

    def __or__(self, other: object | None) -> object: ...

    def __ror__(self, other: object | None) -> object: ...

    def __xor__(self, other: object | None) -> object: ...

    def __rxor__(self, other: object | None) -> object: ...

    def __invert__(self) -> Tensor: ...

    def __neg__(self) -> Tensor: ...

    def __pos__(self) -> object: ...

    def __abs__(self) -> Tensor: ...

    def __getitem__(self, index: object | None) -> Tensor: ...

    def __matmul__(self, other: object | None) -> object: ...

    def __rmatmul__(self, other: object | None) -> object: ...

def matmul(x: object | None, y: object | None) -> Tensor:
    """x @ y as numpy defines it."""

def dot(x: object | None, y: object | None) -> Tensor:
    """
    The last axis of x against the second last of y (the only one of a vector).
    """

def batch_dot(x: object | None, y: object | None, axes: object | None = None) -> Tensor:
    """For each entry of the batch, one axis of x against one of y."""

def bias_add(x: object | None, bias: object | None) -> Tensor:
    """x + bias along the last axis."""

class Variable(Tensor):
    """A tensor that keeps its place and takes new values: a weight."""

    def __init__(self, value: object | None, trainable: bool = True, dtype: object | None = None, name: object | None = None) -> None:
        """
        Copies value. Trainable variables are watched by gradient tapes without being asked.
        """

    def assign(self, value: object | None) -> object:
        """Takes a new value of the same shape; numbers fill the variable."""

    def assign_add(self, value: object | None) -> object: ...

    def assign_sub(self, value: object | None) -> object: ...

    def value(self) -> Tensor:
        """The present value as a tensor that later assigns leave alone."""

    @property
    def version(self) -> int:
        """A number that changes with every new value."""

    @property
    def trainable(self) -> bool: ...

    @trainable.setter
    def trainable(self, arg: bool, /) -> None: ...

    @property
    def name(self) -> str: ...

    @name.setter
    def name(self, arg: str, /) -> None: ...

    @property
    def path(self) -> object:
        """Layer and name, as 'lstm/kernel'; the name until a layer sets it."""

    @path.setter
    def path(self, arg: object, /) -> None: ...

    def __copy__(self) -> object: ...

    def __reduce__(self) -> tuple: ...

    def __repr__(self) -> str: ...

class _TapePause:
    def __enter__(self) -> None: ...

    def __exit__(self, *args) -> None: ...

class _NoRecording:
    def __enter__(self) -> None: ...

    def __exit__(self, *args) -> None: ...

def no_recording() -> _NoRecording:
    """A context in which this thread records on no tape."""

class Tape:
    """Records operations and differentiates them."""

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None: ...

    def __enter__(self) -> object: ...

    def __exit__(self, *args) -> None: ...

    def watch(self, tensor: object | None) -> None:
        """Records what is computed from a tensor, or from each of a list."""

    def gradient(self, target: object | None, sources: object | None, output_gradients: object | None = None) -> object:
        """
        d sum(target) / d source for each source, None where nothing connects them. output_gradients weigh the elements of the target.
        """

    def stop_recording(self) -> _TapePause:
        """A context in which this tape does not record."""

    def reset(self) -> None:
        """Forgets everything that was recorded and watched."""

    @property
    def persistent(self) -> bool: ...

def add(x: object | None, y: object | None) -> Tensor:
    """x + y with broadcasting."""

def subtract(x: object | None, y: object | None) -> Tensor:
    """x - y with broadcasting."""

def multiply(x: object | None, y: object | None) -> Tensor:
    """x * y with broadcasting."""

def divide(x: object | None, y: object | None) -> Tensor:
    """x / y with broadcasting; of integers float32."""

def floor_divide(x: object | None, y: object | None) -> Tensor:
    """x // y, rounded down; an integer divided by 0 gives 0."""

def mod(x: object | None, y: object | None) -> Tensor:
    """x % y with the sign of y."""

def maximum(x: object | None, y: object | None) -> Tensor:
    """The larger element; equal ones share a gradient."""

def minimum(x: object | None, y: object | None) -> Tensor:
    """The smaller element; equal ones share a gradient."""

def power(x: object | None, y: object | None) -> Tensor:
    """x ** y with broadcasting."""

def equal(x: object | None, y: object | None) -> Tensor:
    """Elementwise comparison; a bool tensor."""

def not_equal(x: object | None, y: object | None) -> Tensor:
    """Elementwise comparison; a bool tensor."""

def less(x: object | None, y: object | None) -> Tensor:
    """Elementwise comparison; a bool tensor."""

def less_equal(x: object | None, y: object | None) -> Tensor:
    """Elementwise comparison; a bool tensor."""

def greater(x: object | None, y: object | None) -> Tensor:
    """Elementwise comparison; a bool tensor."""

def greater_equal(x: object | None, y: object | None) -> Tensor:
    """Elementwise comparison; a bool tensor."""

def logical_and(x: object | None, y: object | None) -> Tensor:
    """True where both are not zero."""

def logical_or(x: object | None, y: object | None) -> Tensor:
    """True where one is not zero."""

def logical_xor(x: object | None, y: object | None) -> Tensor:
    """True where exactly one is not zero."""

def logical_not(x: object | None) -> Tensor:
    """True where x is zero."""

def negative(x: object | None) -> Tensor:
    """-x"""

def abs(x: object | None) -> Tensor:
    """|x|"""

def square(x: object | None) -> Tensor:
    """x * x"""

def sign(x: object | None) -> Tensor:
    """-1, 0 or 1"""

def floor(x: object | None) -> Tensor:
    """The largest whole number <= x."""

def ceil(x: object | None) -> Tensor:
    """The smallest whole number >= x."""

def round(x: object | None) -> Tensor:
    """The nearest whole number, halves to even."""

def exp(x: object | None) -> Tensor:
    """e ** x"""

def expm1(x: object | None) -> Tensor:
    """e ** x - 1, exact near 0."""

def log(x: object | None) -> Tensor:
    """The natural logarithm; of 0 -inf, of negative numbers NaN."""

def log1p(x: object | None) -> Tensor:
    """log(1 + x), exact near 0."""

def sqrt(x: object | None) -> Tensor:
    """The square root; of negative numbers NaN."""

def rsqrt(x: object | None) -> Tensor:
    """1 / sqrt(x)"""

def reciprocal(x: object | None) -> Tensor:
    """1 / x"""

def sin(x: object | None) -> Tensor:
    """The sine of x radians."""

def cos(x: object | None) -> Tensor:
    """The cosine of x radians."""

def clip(x: object | None, x_min: object | None, x_max: object | None) -> Tensor:
    """min(max(x, x_min), x_max); None is no bound."""

def activation(x: object | None, name: str, axis: int = -1) -> Tensor:
    """
    The activation of that Keras name, softmax and log_softmax (along axis) included.
    """

def softmax(x: object | None, axis: int = -1) -> Tensor:
    """e ** x over its sum along an axis."""

def log_softmax(x: object | None, axis: int = -1) -> Tensor:
    """x minus the log of the sum of e ** x along an axis."""

def logsumexp(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """The log of the sum of e ** x over the axes, without overflow."""

def isnan(x: object | None) -> Tensor:
    """True where x is NaN."""

def isfinite(x: object | None) -> Tensor:
    """True where x is neither infinite nor NaN."""

def sum(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes, all by default; the same at any thread count."""

def mean(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes; of integers float32."""

def prod(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """The product over the axes."""

def max(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """The largest element; equal ones share a gradient, NaN wins."""

def min(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """The smallest element; equal ones share a gradient, NaN wins."""

def any(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """True where one element is not zero."""

def all(x: object | None, axis: object | None = None, keepdims: bool = False) -> Tensor:
    """True where no element is zero."""

def argmax(x: object | None, axis: object | None = -1, keepdims: bool = False) -> Tensor:
    """
    The position of the first largest element, int64; None counts over all elements.
    """

def argmin(x: object | None, axis: object | None = -1, keepdims: bool = False) -> Tensor:
    """
    The position of the first smallest element, int64; None counts over all elements.
    """

def cumsum(x: object | None, axis: int = 0) -> Tensor:
    """The running sum along an axis."""

def zeros(shape: object | None, dtype: object | None = None) -> Tensor:
    """An array of zeros."""

def ones(shape: object | None, dtype: object | None = None) -> Tensor:
    """An array of ones."""

def full(shape: object | None, fill_value: object | None, dtype: object | None = None) -> Tensor:
    """An array of one value."""

def zeros_like(x: object | None, dtype: object | None = None) -> Tensor:
    """Zeros in the shape of x."""

def ones_like(x: object | None, dtype: object | None = None) -> Tensor:
    """Ones in the shape of x."""

def cast(x: object | None, dtype: object) -> Tensor:
    """The values in another element type."""

def reshape(x: object | None, shape: object | None) -> Tensor:
    """The same values under another shape, without a copy."""

def transpose(x: object | None, perm: object | None = None) -> Tensor:
    """Axis i of the result is axis perm[i] of x; None reverses the axes."""

def expand_dims(x: object | None, axis: int = -1) -> Tensor:
    """A new axis of size 1."""

def squeeze(x: object | None, axis: object | None = None) -> Tensor:
    """Without axes of size 1."""

def broadcast_to(x: object | None, shape: object | None) -> Tensor:
    """x repeated along new axes and axes of size 1."""

def repeat(x: object | None, repeats: int, axis: int) -> Tensor:
    """Every element several times."""

def tile(x: object | None, repeats: object) -> Tensor:
    """The whole array several times along each axis."""

def reverse(x: object | None, axes: object) -> Tensor:
    """The elements in reverse order along the axes."""

def stop_gradient(x: object | None) -> Tensor:
    """The same values; no gradient flows back through them."""

def identity(x: object | None) -> Tensor:
    """The same values as a new tensor."""

def concatenate(tensors: object | None, axis: int = -1) -> Tensor:
    """Joins tensors along an existing axis."""

def stack(tensors: object | None, axis: int = 0) -> Tensor:
    """Joins tensors along a new axis."""

def unstack(x: object | None, axis: int = 0) -> list:
    """The slices along an axis, as a list."""

def getitem(x: object | None, index: object | None) -> Tensor:
    """x[index]"""

def slice(x: object | None, start_indices: object, shape: object | None) -> Tensor:
    """
    The block of the given size that starts at start_indices; size -1 means to the end.
    """

def gather(x: object | None, indices: object | None, axis: int = 0) -> Tensor:
    """The slices of x with the given numbers along an axis."""

def one_hot(indices: object | None, num_classes: int, dtype: object | None = None) -> Tensor:
    """A 1 at the id and zeros elsewhere, along a new last axis."""

def where(condition: object | None, x: object | None, y: object | None) -> Tensor:
    """x where the condition holds, else y; all three broadcast."""

def dense(x: object | None, kernel: object | None, bias: object | None = None, activation: str = 'linear') -> Tensor:
    """activation(x @ kernel + bias) over the last axis, as one operation."""

def embedding(ids: object | None, table: object | None) -> Tensor:
    """table[ids]: ids (...) and table (R, W) give (..., W)."""

def dropout(x: object | None, rate: float, seed: int, counter: int) -> Tensor:
    """
    x with a share `rate` of its elements set to 0 and the others divided by 1 - rate.
    """

def categorical_crossentropy(y_true: object | None, y_pred: object | None, from_logits: bool = False) -> Tensor:
    """The cross-entropy of each row: y_true and y_pred (..., C) give (...)."""

def sparse_categorical_crossentropy(y_true: object | None, y_pred: object | None, from_logits: bool = False) -> Tensor:
    """The same for class numbers y_true (...)."""

def binary_crossentropy(y_true: object | None, y_pred: object | None, from_logits: bool = False) -> Tensor:
    """The binary cross-entropy of each element."""

def layer_norm(x: object | None, gamma: object | None, beta: object | None, epsilon: float) -> Tensor:
    """
    (x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis.
    """

def batch_norm(x: object | None, gamma: object | None, beta: object | None, mask: object | None, epsilon: float) -> tuple:
    """
    Returns (y, mean, variance, rows used) with x (..., C) normalized by the mean and variance of the rows that the bool mask (...) keeps; no gradient flows through the latter three.
    """

def batch_norm_inference(x: object | None, gamma: object | None, beta: object | None, mean: object | None, variance: object | None, epsilon: float) -> Tensor:
    """
    x (..., C) normalized by a given mean and variance (C,), which are constants.
    """

def conv(x: object | None, kernel: object | None, bias: object | None, strides: object | None, padding: str, dilation_rate: object | None, activation: str = 'linear') -> Tensor:
    """
    activation(conv(x, kernel) + bias): x (N, spatial axes, C), kernel (taps, C, F).
    """

def max_pool(x: object | None, pool_size: object | None, strides: object | None, padding: str = 'valid') -> Tensor:
    """The largest value of each window: x (N, spatial axes, C)."""

def average_pool(x: object | None, pool_size: object | None, strides: object | None, padding: str = 'valid') -> Tensor:
    """The mean of each window: x (N, spatial axes, C)."""

def up_sample(x: object | None, times: object | None) -> Tensor:
    """
    Every position of the spatial axes of x (N, spatial axes, C) times[k] times.
    """

def pad(x: object | None, before: object | None, after: object | None) -> Tensor:
    """x within zeros, before[k] ahead of axis k and after[k] behind it."""

def random_uniform(shape: object | None, low: float, high: float, dtype: object | None, seed: int, counter: int) -> Tensor:
    """Uniform numbers in [low, high)."""

def random_normal(shape: object | None, mean: float, stddev: float, dtype: object | None, seed: int, counter: int) -> Tensor:
    """Normal numbers."""

def truncated_normal(shape: object | None, mean: float, stddev: float, dtype: object | None, seed: int, counter: int) -> Tensor:
    """Normal numbers, redrawn until they are within two stddev of the mean."""

def dropout_mask(shape: object | None, rate: float, dtype: object | None, seed: int, counter: int) -> Tensor:
    """0 with probability rate, else 1 / (1 - rate)."""

def permutation(n: int, seed: int, counter: int) -> Tensor:
    """A random order of 0 ... n-1, int64."""

def sgd_update(var: Variable, gradient: Tensor, velocity: Variable | None, learning_rate: float, momentum: float, nesterov: bool) -> None:
    """One step of SGD; without momentum, velocity is None."""

def rmsprop_update(var: Variable, gradient: Tensor, squares: Variable, mean: Variable | None, last: Variable | None, learning_rate: float, rho: float, momentum: float, epsilon: float, centered: bool) -> None:
    """One step of RMSprop."""

def adam_update(var: Variable, gradient: Tensor, mean: Variable, squares: Variable, largest: Variable | None, learning_rate: float, beta_1: float, beta_2: float, epsilon: float, step: int, weight_decay: float = 0.0) -> None:
    """
    One step of Adam or AdamW; step counts from 1, largest is the amsgrad slot or None.
    """

def squared_norm(tensors: object | None) -> float:
    """The sum of the squares of all elements, in float64."""

class BoundCell:
    """
    A FusedCell with its weights and flags. Called with a tensor or array (N, T, F) of their type it returns what the layer returns; None for anything that the layer has to convert or refuse.
    """

    def __init__(self, cell: object, kernel: object, recurrent_kernel: object, bias: object | None, return_sequences: bool, return_state: bool, go_backwards: bool) -> None: ...

    def __call__(self, x: object | None) -> object: ...

class FusedCell:
    """
    A recurrent layer without its weights: the whole time loop, any mask, dropout and activation in one compiled kernel and one tape node.
    """

    def __init__(self, kind: str, units: int, activation: str = 'tanh', recurrent_activation: str = 'sigmoid') -> None: ...

    def forward(self, x: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None = None, initial_state: Sequence[Tensor] | None = None, mask: Tensor | None = None, input_dropout: Tensor | None = None, recurrent_dropout: Tensor | None = None, return_sequences: bool = False, go_backwards: bool = False, zero_output_for_mask: bool = False, return_state_sequences: bool = False, reset_mask: Tensor | None = None, lengths: Tensor | None = None, reset_to_zeros: bool = False) -> tuple:
        """
        Returns (output, [states]); with return_state_sequences the states after every step, (N, T, H), follow the last ones. Shapes: x (N, T, F), kernel (F, G*H), recurrent_kernel (H, G*H), bias (G*H,) or (2, G*H), initial_state one (N, H) per state, mask bool (N, T), input_dropout (1 or G, N, F), recurrent_dropout (1 or G, N, H), reset_mask bool (N, T), lengths int64 (N,). Where reset_mask is true a row starts anew from initial_state, or from zeros.
        """

    def explain(self, x_shape: Sequence[int], training: bool = False, dtype: str = 'float32', return_sequences: bool = False, scheduled: bool = False, used_steps: int = -1, masks_per_gate: bool = False, x: Tensor | None = None) -> str:
        """
        What a call with x of that shape runs: kernel, tiles, threads, bytes; in words. scheduled: with a mask, lengths or resets, used_steps of which are computed (-1: not known). masks_per_gate: with dropout that differs by gate. x: itself, where it may come from an embedding.
        """

    @property
    def kind(self) -> str: ...

    @property
    def units(self) -> int: ...

    @property
    def gates(self) -> int: ...

def conv_lstm(filters: int, kernel_size: Sequence[int], strides: Sequence[int], padding: str, dilation_rate: Sequence[int], activation: str = 'tanh', recurrent_activation: str = 'hard_sigmoid') -> FusedCell:
    """
    A FusedCell on images (N, T, sizes..., C) of one to three axes: kernel (taps..., C, 4F), recurrent_kernel (taps..., F, 4F), bias (4F,), states (N, outputs..., F).
    """

class Stream:
    """
    A chain of layers, one time step per call, with the states inside; made by layer.stream() and model.stream(). One stream serves one thread at a time.
    """

    def __init__(self, batch_size: int, features: int, dtype: str = 'float32') -> None:
        """A chain without layers yet, for rows of that many features."""

    def add_recurrent(self, cell: FusedCell, kernel: object, recurrent_kernel: object, bias: object | None = None) -> None:
        """
        Appends a recurrent layer. Variables that change later are packed again.
        """

    def add_dense(self, kernel: object, bias: object | None = None, activation: str = 'linear') -> None:
        """Appends activation(x @ kernel + bias)."""

    def add_activation(self, activation: str) -> None:
        """Appends an elementwise activation, softmax or log_softmax."""

    def step(self, x: object | None, out: object | None = None) -> object:
        """
        The outputs of one time step, a new array or `out`. Shapes: x (N, F) -> (N, H), and with N = 1 also (F,) -> (H,), where x may be a list of numbers.
        """

    def reset(self, rows: object | None = None) -> None:
        """
        Back to zero states: all rows, or those where rows, bool (N,), is true.
        """

    @property
    def states(self) -> list:
        """
        Copies of all states, layer after layer (an LSTM has h, c), each (N, H).
        """

    @states.setter
    def states(self, arg: object, /) -> None: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def features(self) -> int: ...

    @property
    def units(self) -> int: ...

    @property
    def dtype(self) -> str: ...
