// SPDX-License-Identifier: Apache-2.0
// elman/autograd/fused_conv_lstm.hpp: the convolutional recurrent kernel between tensors.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elman/autograd/fused_cell.hpp"
#include "elman/bptt/conv_lstm.hpp"

namespace elman {

/// How the input convolution walks over the images; one entry per spatial axis.
struct ConvOptions {
  std::vector<Index> kernel_size, strides, dilation_rate;
  Padding padding = Padding::valid;

  [[nodiscard]] Index rank() const { return static_cast<Index>(kernel_size.size()); }
};

/// FusedCell for images, channels last.
/// Shapes    x [N,T,images...,C]  kernel [taps...,C,4F]  recurrent_kernel [taps...,F,4F]  bias [4F]
///           initial_state: two of [N,outputs...,F]  mask, reset_mask bool [N,T]  lengths int64 [N]
///           input_dropout [1 or 4,N,images...,C]  recurrent_dropout [1 or 4,N,outputs...,F]
///           -> [N,T,outputs...,F] or [N,outputs...,F], both states, and with
///           return_state_sequences both after every step, [N,T,outputs...,F]
class FusedConvLstm final : public FusedCell {
 public:
  FusedConvLstm(Index filters, ConvOptions options, const AnyActivations& activations)
      : FusedCell(ConvLstm::kName, ConvLstm::kGates, ConvLstm::kStates, filters, activations),
        options_(std::move(options)),
        caches_(std::make_shared<Caches>()) {
    const auto size = options_.kernel_size.size();
    if (size < 1 || size > 3 || options_.strides.size() != size ||
        options_.dilation_rate.size() != size) {
      fail(name(), "kernel_size, strides, dilation_rate: expected 1 to 3 sizes each, equally many");
    }
    if (options_.padding == Padding::causal) {
      fail(name(), "padding: expected valid or same, got causal");
    }
  }

  [[nodiscard]] std::string explain(const Shape& x, DType dtype,
                                    const bptt::CallForm& form) const override {
    const Window window = input_window(x, dtype);
    bptt::CallForm whole = form;
    whole.by_rows = activations().by_rows();
    return dtype == DType::float32 ? describe<float>(x, window, whole)
                                   : describe<double>(x, window, whole);
  }

 private:
  template <class T>
  struct CachesOf {
    detail::PackedCache<bptt::ConvForwardWeights<T>> forward;
    detail::PackedCache<bptt::ConvBackwardWeights<T>> backward;
  };
  struct Caches {
    CachesOf<float> float32;
    CachesOf<double> float64;
    template <class T>
    CachesOf<T>& of() {
      if constexpr (std::is_same_v<T, float>) {
        return float32;
      } else {
        return float64;
      }
    }
  };

  // [batch..., outputs of the window, F]
  [[nodiscard]] Shape output_shape(std::initializer_list<Index> batch, const Window& w) const {
    Shape shape(batch);
    for (Index k = 3 - options_.rank(); k < 3; ++k) {
      shape.push_back(w.axes[static_cast<std::size_t>(k)].out);
    }
    shape.push_back(units());
    return shape;
  }

  /// Errors    std::invalid_argument unless x is (N, T, images..., C) that the window fits into
  [[nodiscard]] Window input_window(const Shape& x, DType dtype) const {
    const Index rank = options_.rank();
    if (x.rank() != rank + 3 || !is_floating(dtype)) {
      fail(name(), "x: expected (N, T, " + std::to_string(rank) +
                       " sizes of the images, C) of float32 or float64, got " + x.text() + " " +
                       dtype_name(dtype));
    }
    const Window window =
        make_window(rank, x.data() + 2, options_.kernel_size.data(), options_.strides.data(),
                    options_.dilation_rate.data(), options_.padding, x[rank + 2]);
    if (window.outputs() < 1) fail(name(), "x: the kernel does not fit into images " + x.text());
    return window;
  }

  [[nodiscard]] Shape kernel_shape(Index channels) const {
    Shape shape(options_.kernel_size.begin(), options_.kernel_size.end());
    shape.push_back(channels);
    shape.push_back(gates() * units());
    return shape;
  }

  void check(const RecurrentInputs& in) const override {
    const DType dtype = in.x.dtype();
    const Window window = input_window(in.x.shape(), dtype);
    const Index n = in.x.dim(0);
    expect(in.kernel, "kernel", dtype, kernel_shape(window.channels));
    expect(in.recurrent_kernel, "recurrent_kernel", dtype, kernel_shape(units()));
    if (in.bias.defined()) expect(in.bias, "bias", dtype, {gates() * units()});
    const Shape state = output_shape({n}, window);
    check_states(in.initial_state, dtype, state);
    if (in.mask.defined()) expect(in.mask, "mask", DType::bool_, {n, in.x.dim(1)});
    if (in.reset_mask.defined())
      expect(in.reset_mask, "reset_mask", DType::bool_, {n, in.x.dim(1)});
    if (in.lengths.defined()) check_lengths(in.lengths, n, in.x.dim(1));
    Shape image = in.x.shape();
    image.erase(1);
    check_dropout(in.input_dropout, "input_dropout", dtype, image);
    check_dropout(in.recurrent_dropout, "recurrent_dropout", dtype, state);
  }

  // One call: its inputs, and for training what the backward run needs.
  template <class T>
  struct Call {
    Call(RecurrentInputs&& inputs, const FusedConvLstm& cell)
        : in(std::move(inputs)),
          activations(cell.activations()),
          caches(cell.caches_),
          window(cell.input_window(in.x.shape(), in.x.dtype())),
          filters(cell.units()) {
      const Index n = in.x.dim(0), t = in.x.dim(1);
      state_shape = cell.output_shape({n}, window);
      sequence_shape = cell.output_shape({n, t}, window);
      output = in.return_sequences ? Tensor(sequence_shape, in.x.dtype())
                                   : Tensor::zeros(state_shape, in.x.dtype());
      if (in.return_state_sequences) {
        // Where no step is skipped, h of every step is the output, under an identity of its own.
        const bool skips = in.mask.defined() || in.lengths.defined();
        h_all = in.return_sequences && !skips ? output.view(sequence_shape) : whole();
        c_all = whole();
      }
    }

    RecurrentInputs in;
    AnyActivations activations;
    std::shared_ptr<Caches> caches;
    Window window;
    Index filters;
    Shape state_shape, sequence_shape;
    Tensor output;
    Tensor h_all, c_all;  // states after every step; h_all is also kept where there is no sequence
    AlignedBuffer<T> slots, c;
    bool consumed = false;

    Tensor whole() const { return Tensor(sequence_shape, in.x.dtype()); }
    static const T* data(const Tensor& t) { return t.defined() ? t.data<T>() : nullptr; }
    static const std::uint8_t* bytes(const Tensor& t) {
      return t.defined() ? reinterpret_cast<const std::uint8_t*>(t.data<bool>()) : nullptr;
    }

    bptt::ConvInputs<T> inputs() const {
      bptt::ConvInputs<T> out;
      out.input = window;
      out.state = bptt::state_window(window, filters);
      out.filters = filters;
      const Index image = window.inputs() * window.channels, time = in.x.dim(1);
      out.dims = {in.x.dim(0), time, image, window.outputs() * filters};
      out.x = {in.x.data<T>(), time * image, image};
      if (!in.initial_state.empty()) {
        out.h0 = in.initial_state[0].data<T>();
        out.c0 = in.initial_state[1].data<T>();
      }
      out.mask = bytes(in.mask);
      out.reset = bytes(in.reset_mask);
      if (in.lengths.defined()) out.lengths = in.lengths.data<std::int64_t>();
      out.resets_to_zeros = in.reset_to_zeros;
      out.input_dropout = factors(in.input_dropout, image);
      out.recurrent_dropout = factors(in.recurrent_dropout, out.dims.units);
      out.go_backwards = in.go_backwards;
      out.zero_output_for_mask = in.zero_output_for_mask;
      return out;
    }
    static bptt::Factors<T> factors(const Tensor& t, Index image) {
      if (!t.defined()) return {};
      return {t.data<T>(), static_cast<int>(t.dim(0)), t.dim(1), image};
    }
    bptt::KerasWeights<T> weights() const {
      return {in.kernel.data<T>(), in.recurrent_kernel.data<T>(), data(in.bias), 1};
    }
    typename detail::PackedCache<int>::Key key(std::uint64_t form) const {
      return {in.kernel.version(), in.recurrent_kernel.version(),
              in.bias.defined() ? in.bias.version() : 0, form};
    }
    bool cacheable() const {
      return in.kernel.version() != 0 && in.recurrent_kernel.version() != 0 &&
             (!in.bias.defined() || in.bias.version() != 0);
    }
    bptt::Sequence<T> sequence(Tensor& t, bool whole) const {
      const Index image = window.outputs() * filters;
      return {t.mutable_data<T>(), whole ? in.x.dim(1) * image : image, whole ? image : 0};
    }

    // [output, h, c, (h_all, c_all)], or without h and c.
    std::vector<Tensor> run_forward(bool training) {
      std::vector<Tensor> outputs{output};
      for (int i = 0; in.return_state && i < ConvLstm::kStates; ++i) {
        outputs.emplace_back(state_shape, in.x.dtype());
      }
      const auto state_of = [&](std::size_t i) {
        return i < outputs.size() ? outputs[i].template mutable_data<T>() : nullptr;
      };
      if (training && !in.return_sequences && !h_all.defined()) h_all = whole();
      run_loop(training, state_of(1), state_of(2));
      if (in.return_state_sequences) outputs.insert(outputs.end(), {h_all, c_all});
      return outputs;
    }

    void run_loop(bool training, T* h_last, T* c_last) {
      const bptt::ConvInputs<T> given = inputs();
      const std::uint64_t form = !given.steps_by_tiles() ? 1 : given.masks_per_gate() ? 3 : 2;
      const auto packed = caches->template of<T>().forward.get(
          key(form), cacheable(), [&](auto& w) { w.pack(given, weights()); });
      bptt::Outputs<T> out;
      out.out = sequence(output, in.return_sequences);
      out.h_last = h_last;
      out.c_last = c_last;
      if (in.return_state_sequences) {
        out.h_all = sequence(h_all, true);
        out.c_all = sequence(c_all, true);
      }
      const Index rows = training ? given.kept_images() * given.pixels() : 0;
      if (rows > 0) {
        slots.ensure(rows * given.slots());
        c.ensure(rows * given.padded());
        out.saved = saved();
      }
      bptt::conv_forward<T>(given, *packed, activations, out);
    }
    bptt::Saved<T> saved() {
      return {slots.data(), c.data(), sequence(in.return_sequences ? output : h_all, true)};
    }

    std::vector<Tensor> run_backward(const std::vector<Tensor>& d_outputs,
                                     const std::vector<bool>& needed) {
      if (consumed) run_loop(true, nullptr, nullptr);  // a persistent tape asks again
      consumed = true;
      const bptt::ConvInputs<T> given = inputs();
      const std::uint64_t form =
          1 + (needed[0] ? 1u : 0u) + (given.recurrent_dropout.per_gate() ? 2u : 0u) +
          (given.state_gradient_by_tiles() ? 4u : 0u) + (given.input_gradient_by_tiles() ? 8u : 0u);
      const auto packed = caches->template of<T>().backward.get(
          key(form), cacheable(), [&](auto& w) { w.pack(given, weights(), needed[0]); });
      bptt::OutputGradients<T> arriving;
      const Index image = given.dims.units;
      arriving.out = {data(d_outputs[0]), in.return_sequences ? given.dims.time * image : image,
                      in.return_sequences ? image : 0};
      arriving.h_last = data(d_outputs[1]);
      arriving.c_last = data(d_outputs[2]);
      if (in.return_state_sequences) {
        arriving.h_all = {data(d_outputs[3]), given.dims.time * image, image};
        arriving.c_all = {data(d_outputs[4]), given.dims.time * image, image};
      }
      std::vector<Tensor> gradients(needed.size());
      const auto wanted = [&](std::size_t i, const Tensor& like) -> T* {
        if (i >= needed.size() || !needed[i] || !like.defined()) return nullptr;
        gradients[i] = Tensor::zeros(like.shape(), like.dtype());
        return gradients[i].template mutable_data<T>();
      };
      bptt::InputGradients<T> leaving;
      leaving.overwrite = true;
      leaving.x = wanted(0, in.x);
      leaving.kernel = wanted(1, in.kernel);
      leaving.recurrent_kernel = wanted(2, in.recurrent_kernel);
      const std::size_t first_state = in.bias.defined() ? 4 : 3;
      if (in.bias.defined()) leaving.bias = wanted(3, in.bias);
      if (!in.initial_state.empty()) {
        leaving.h0 = wanted(first_state, in.initial_state[0]);
        leaving.c0 = wanted(first_state + 1, in.initial_state[1]);
      }
      bptt::conv_backward<T>(given, *packed, activations, saved(), arriving, leaving);
      return gradients;
    }
  };

  std::vector<Tensor> run(RecurrentInputs&& in) override {
    return in.x.dtype() == DType::float32 ? run_as<float>(std::move(in))
                                          : run_as<double>(std::move(in));
  }

  template <class T>
  std::vector<Tensor> run_as(RecurrentInputs&& in) {
    std::vector<Tensor> tracked{in.x, in.kernel, in.recurrent_kernel};
    if (in.bias.defined()) tracked.push_back(in.bias);
    tracked.insert(tracked.end(), in.initial_state.begin(), in.initial_state.end());
    if (!recording(tracked)) return Call<T>(std::move(in), *this).run_forward(false);
    in.return_state = true;
    auto call = std::make_shared<Call<T>>(std::move(in), *this);
    std::vector<Tensor> outputs = call->run_forward(true);
    record(ConvLstm::kName, tracked, outputs,
           [call](const std::vector<Tensor>& d_outputs, const std::vector<bool>& needed) {
             return call->run_backward(d_outputs, needed);
           });
    return outputs;
  }

  [[nodiscard]] bptt::Plan plan(const bptt::Dims&, DType, const bptt::CallForm&) const override {
    return {};
  }

  template <class T>
  [[nodiscard]] std::string describe(const Shape& x, const Window& window,
                                     const bptt::CallForm& form) const {
    bptt::ConvInputs<T> in;
    in.input = window;
    in.state = bptt::state_window(window, units());
    in.filters = units();
    in.dims = {x[0], x[1], window.inputs() * window.channels, window.outputs() * units()};
    if (form.masks_per_gate) in.recurrent_dropout.gates = gates();
    return bptt::describe_conv(in, form);
  }

  ConvOptions options_;
  std::shared_ptr<Caches> caches_;
};

/// The fused layer on images of one to three axes.
/// Errors    std::invalid_argument for sizes < 1, causal padding, or filters < 1
inline std::unique_ptr<FusedCell> make_conv_lstm(Index filters, ConvOptions options,
                                                 std::string_view activation,
                                                 std::string_view recurrent) {
  return std::make_unique<FusedConvLstm>(filters, std::move(options),
                                         AnyActivations::named(activation, recurrent));
}

}  // namespace elman
