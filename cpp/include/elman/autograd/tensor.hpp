// SPDX-License-Identifier: Apache-2.0
// elman/autograd/tensor.hpp: reference-counted arrays, and the variables that training changes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "elman/autograd/parallel.hpp"
#include "elman/core/aligned.hpp"
#include "elman/core/errors.hpp"
#include "elman/core/shape.hpp"

namespace elman {

namespace detail {

/// A block of memory: its own, or one that belongs to `owner`.
struct Storage {
  explicit Storage(Index bytes) : memory(std::max<Index>(bytes, 1)) {}
  explicit Storage(std::shared_ptr<void> keep_alive) : owner(std::move(keep_alive)) {}

  AlignedBuffer<std::uint8_t> memory;
  std::shared_ptr<void> owner;
};

struct TensorImpl {
  Shape shape;
  DType dtype = DType::float32;
  bool trainable = false;  // the value of a trainable variable: tapes watch it unasked
  void* data = nullptr;
  std::shared_ptr<Storage> storage;
  std::shared_ptr<TensorImpl> row_ids;
  std::uint64_t id = 0;
  std::uint64_t version = 0;
};

inline std::uint64_t next_number(std::atomic<std::uint64_t>& counter) noexcept {
  return counter.fetch_add(1, std::memory_order_relaxed);
}
inline std::uint64_t next_id() noexcept {
  static std::atomic<std::uint64_t> counter{1};
  return next_number(counter);
}
inline std::uint64_t next_version() noexcept {
  static std::atomic<std::uint64_t> counter{1};
  return next_number(counter);
}

/// Bytes of an array. Errors: std::invalid_argument when no machine could hold it.
inline Index checked_bytes(const Shape& shape, DType dtype) {
  Index bytes = static_cast<Index>(item_size(dtype));
  constexpr Index kMost = std::numeric_limits<Index>::max() / 4;
  for (const Index dim : shape) {
    if (dim > 0 && bytes > kMost / dim) {
      fail("Tensor", "shape: " + shape.text() + " has more elements than memory can hold");
    }
    bytes *= dim;
  }
  return bytes;
}

}  // namespace detail

/// A C-contiguous array; copies of the handle share it. Values do not change once an operation has
/// returned the tensor: new values are new tensors, and only a Variable takes new ones.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised, 64-byte aligned.
  Tensor(const Shape& shape, DType dtype) : impl_(std::make_shared<detail::TensorImpl>()) {
    impl_->storage = std::make_shared<detail::Storage>(detail::checked_bytes(shape, dtype));
    impl_->data = impl_->storage->memory.data();
    describe(shape, dtype);
  }

  [[nodiscard]] static Tensor zeros(const Shape& shape, DType dtype) {
    Tensor out(shape, dtype);
    if (out.bytes() == 0) return out;
    constexpr std::size_t kPiece = 32 * 1024;  // of bytes
    const std::size_t bytes = out.bytes();
    char* const data = static_cast<char*>(out.impl_->data);
    const auto clear = [=](Index begin, Index end) {
      const std::size_t first = std::size_t(begin) * kPiece, last = std::size_t(end) * kPiece;
      std::memset(data + first, 0, std::min(bytes, last) - first);
    };
    detail::parallel(2.0 * double(bytes), Index((bytes + kPiece - 1) / kPiece), clear);
    return out;
  }
  /// A view of foreign, C-contiguous memory; `owner` lives as long as any view of it.
  [[nodiscard]] static Tensor from_external(void* data, const Shape& shape, DType dtype,
                                            std::shared_ptr<void> owner) {
    Tensor out;
    out.impl_ = std::make_shared<detail::TensorImpl>();
    out.impl_->storage = std::make_shared<detail::Storage>(std::move(owner));
    out.impl_->data = data;
    out.describe(shape, dtype);
    return out;
  }
  template <class T>
  [[nodiscard]] static Tensor scalar(T value) {
    Tensor out(Shape{}, dtype_of<T>());
    *static_cast<T*>(out.impl_->data) = value;
    return out;
  }
  /// A copy of values; nullptr where the shape has no elements.
  template <class T>
  [[nodiscard]] static Tensor from_values(const Shape& shape, const T* values) {
    Tensor out(shape, dtype_of<T>());
    if (out.bytes() == 0) return out;
    if (values == nullptr) fail("Tensor", "values: expected " + shape.text() + ", got nullptr");
    std::memcpy(out.impl_->data, values, out.bytes());
    return out;
  }

  [[nodiscard]] bool defined() const noexcept { return impl_ != nullptr; }
  [[nodiscard]] const Shape& shape() const noexcept { return impl_->shape; }
  [[nodiscard]] DType dtype() const noexcept { return impl_->dtype; }
  [[nodiscard]] Index ndim() const noexcept { return impl_->shape.rank(); }
  [[nodiscard]] Index size() const noexcept { return impl_->shape.size(); }
  [[nodiscard]] Index dim(Index axis) const { return impl_->shape.dim(axis); }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(size()) * item_size(dtype());
  }

  /// Unique for each value, never used again; all values of one Variable share its id.
  [[nodiscard]] std::uint64_t id() const noexcept { return impl_->id; }
  /// 0, or for the value of a Variable a number that no other value has.
  [[nodiscard]] std::uint64_t version() const noexcept { return impl_->version; }
  [[nodiscard]] bool is_trainable() const noexcept { return impl_->trainable; }

  /// int64 numbers of the rows along the last axis, in the shape of the other axes: rows of one
  /// number are equal, as an embedding knows of what it returns. Undefined where nobody knows.
  [[nodiscard]] Tensor row_ids() const {
    Tensor out;
    out.impl_ = impl_->row_ids;
    return out;
  }
  /// For the operation that made the tensor, and whose backward pass sums the gradient by them: it
  /// may get the gradients of rows of one number summed at one of them. Foreign memory, which may
  /// change, is copied.
  void set_row_ids(const Tensor& ids) {
    impl_->row_ids = ids.impl_->storage->owner == nullptr ? ids.impl_ : ids.copy().impl_;
  }

  /// Errors    std::logic_error when T is not the element type
  template <class T>
  [[nodiscard]] const T* data() const {
    if (dtype() != dtype_of<T>()) wrong_type(dtype_of<T>());
    return static_cast<const T*>(impl_->data);
  }
  /// For filling a tensor that nobody else has seen yet.
  template <class T>
  [[nodiscard]] T* mutable_data() {
    if (dtype() != dtype_of<T>()) wrong_type(dtype_of<T>());
    return static_cast<T*>(impl_->data);
  }
  [[nodiscard]] const void* raw() const noexcept { return impl_->data; }
  [[nodiscard]] void* mutable_raw() noexcept { return impl_->data; }
  /// Keeps the memory of this value alive for as long as it is held (views from other libraries).
  [[nodiscard]] std::shared_ptr<void> keep_alive() const noexcept { return impl_->storage; }

  /// The same memory from element `offset` on, under another shape. Errors: none, the caller
  /// checks.
  [[nodiscard]] Tensor view(const Shape& shape, Index offset = 0) const {
    Tensor out;
    out.impl_ = std::make_shared<detail::TensorImpl>();
    out.impl_->storage = impl_->storage;
    out.impl_->data =
        static_cast<char*>(impl_->data) + offset * static_cast<Index>(item_size(impl_->dtype));
    out.describe(shape, impl_->dtype);
    return out;
  }
  [[nodiscard]] Tensor copy() const {
    Tensor out(shape(), dtype());
    if (bytes() > 0) std::memcpy(out.impl_->data, impl_->data, bytes());
    return out;
  }

  /// True when this handle alone knows the memory, so that writing to it is seen by nobody.
  [[nodiscard]] bool exclusive() const noexcept {
    if (!impl_ || impl_.use_count() != 1 || impl_->storage.use_count() != 1) return false;
    // Pairs with the release of the last other handle, which another thread may have done.
    std::atomic_thread_fence(std::memory_order_acquire);
    return impl_->storage->owner == nullptr;
  }

 protected:
  std::shared_ptr<detail::TensorImpl> impl_;

 private:
  void describe(const Shape& shape, DType dtype) {
    impl_->shape = shape;
    impl_->dtype = dtype;
    impl_->id = detail::next_id();
  }
  [[noreturn]] void wrong_type(DType wanted) const {
    fail_state("Tensor.data", std::string("expected ") + dtype_name(wanted) + " elements, got " +
                                  dtype_name(dtype()));
  }
};

/// A named slot for tensors of one shape and type. A copy taken as Tensor keeps the value of that
/// moment: new values are written in place only when nobody else holds the present one.
class Variable : public Tensor {
 public:
  Variable() = default;
  /// Always copies `value`.
  explicit Variable(const Tensor& value, std::string name = "variable", bool trainable = true)
      : Tensor(value.copy()), name_(std::move(name)) {
    impl_->trainable = trainable && is_floating(dtype());
    impl_->version = detail::next_version();
  }
  Variable(Variable&&) noexcept = default;
  Variable& operator=(Variable&&) noexcept = default;
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() = default;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }
  [[nodiscard]] bool trainable() const noexcept { return impl_->trainable; }
  void set_trainable(bool trainable) noexcept {
    impl_->trainable = trainable && is_floating(dtype());
  }
  /// The present value as a tensor of its own, which a later assign does not change.
  [[nodiscard]] Tensor value() const { return *this; }

  /// Errors    std::invalid_argument unless value has the variable's shape and element type
  void assign(const Tensor& value) {
    if (!(value.shape() == shape()) || value.dtype() != dtype()) {
      fail("Variable.assign", "value: expected " + shape().text() + " " + dtype_name(dtype()) +
                                  ", got " + value.shape().text() + " " +
                                  dtype_name(value.dtype()) + "; variable '" + name_ +
                                  "' keeps its shape and type");
    }
    const Tensor source = value;  // value may be this variable or a view of it
    void* target = replace(false);
    if (source.bytes() > 0) std::memmove(target, source.raw(), source.bytes());
  }

  /// The elements, for a change in place; starts a new version.
  template <class T>
  [[nodiscard]] T* update() {
    static_cast<void>(data<T>());
    return static_cast<T*>(replace(true));
  }

 private:
  void* replace(bool keep_contents) {
    if (!exclusive()) {
      auto next = std::make_shared<detail::TensorImpl>(*impl_);
      next->storage = std::make_shared<detail::Storage>(static_cast<Index>(bytes()));
      next->data = next->storage->memory.data();
      if (keep_contents && bytes() > 0) std::memcpy(next->data, impl_->data, bytes());
      impl_ = std::move(next);
    }
    impl_->version = detail::next_version();
    return impl_->data;
  }

  std::string name_;
};

}  // namespace elman
