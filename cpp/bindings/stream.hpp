// SPDX-License-Identifier: Apache-2.0
// stream.hpp: a chain of layers between numpy arrays, one time step per call.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <vector>

#include "elman/autograd/fused_cell.hpp"
#include "elman/autograd/stream_stage.hpp"

namespace elman::bindings {

namespace nb = nanobind;

/// Shapes    step: x [N,F] -> [N,H]; for N = 1 also [F] -> [H], as array or as numbers in a list
/// Errors    ValueError on a shape or type that does not fit
/// Cost      the layers, and one new array unless `out` is given. Keeps the interpreter's lock: a
///           step takes less time than handing it over
class Stream {
 public:
  Stream(Index rows, Index features, DType dtype);

  void add_recurrent(const FusedCell& cell, nb::handle kernel, nb::handle recurrent_kernel,
                     nb::handle bias);
  void add_dense(nb::handle kernel, nb::handle bias, const std::string& activation);
  void add_activation(const std::string& activation);

  nb::object step(nb::handle x, nb::handle out);
  /// All rows, or those where `rows` [N] is true.
  void reset(nb::handle rows);
  [[nodiscard]] nb::list states() const;
  void set_states(nb::handle states);

  [[nodiscard]] const std::vector<nb::object>& held() const { return weights_; }
  void release() {
    stages_.clear();
    weights_.clear();
  }

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index features() const { return features_; }
  [[nodiscard]] Index units() const { return width_; }
  [[nodiscard]] DType dtype() const { return dtype_; }

 private:
  struct Found {
    const void* data = nullptr;
    bool flat = false;  // one row without the batch axis
    Tensor held;
  };

  [[nodiscard]] std::size_t bytes(Index width) const {
    return static_cast<std::size_t>(rows_ * width) * item_size(dtype_);
  }
  [[nodiscard]] bool fits(Index rank, const Index* shape, Index width) const;
  [[nodiscard]] std::string expected(Index width) const;
  const Tensor* weight(nb::handle object, const char* name, const Shape* shape);
  void append(std::unique_ptr<StreamStage> stage);
  Found find(nb::handle x);
  bool read_numbers(nb::handle list);
  void* target(nb::handle out, bool flat) const;
  void run(const void* x, void* out);

  Index rows_, features_, width_;
  DType dtype_;
  nb::object numpy_dtype_;
  nb::object whole_shape_, flat_shape_;  // of a result
  std::vector<std::unique_ptr<StreamStage>> stages_;
  std::vector<nb::object> weights_;  // keeps what the stages point to
  AlignedBuffer<std::uint8_t> input_, between_[2];
};

}  // namespace elman::bindings
