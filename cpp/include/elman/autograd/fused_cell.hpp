// SPDX-License-Identifier: Apache-2.0
// elman/autograd/fused_cell.hpp: the recurrent kernel between tensors: checks, packed weights,
// tape.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "elman/autograd/tape.hpp"
#include "elman/bptt/plan.hpp"

namespace elman {

/// What a recurrent layer is called with; undefined tensors are absent.
/// Shapes    x [N,T,F]  kernel [F,GH]  recurrent_kernel [H,GH]  bias [GH] or [2,GH]
///           initial_state: one [N,H] per state  mask bool [N,T]
///           reset_mask bool [N,T]  lengths int64 [N]
///           input_dropout [1 or G,N,F]  recurrent_dropout [1 or G,N,H]
struct RecurrentInputs {
  Tensor x, kernel, recurrent_kernel, bias;
  std::vector<Tensor> initial_state;
  Tensor mask, input_dropout, recurrent_dropout;
  Tensor reset_mask;  // true: the row starts anew before that step
  Tensor lengths;     // times from there on are skipped
  bool return_sequences = false;
  bool go_backwards = false;
  bool zero_output_for_mask = false;
  bool return_state_sequences = false;
  bool reset_to_zeros = false;  // not to initial_state
  bool return_state = true;     // false: a call that no tape records returns the output alone
};

/// A recurrent layer without its weights. Safe to call from many threads.
class FusedCell {
 public:
  FusedCell(std::string name, int gates, int states, Index units, const AnyActivations& activations)
      : name_(std::move(name)),
        gates_(gates),
        states_(states),
        units_(units),
        activations_(activations) {
    if (units < 1) fail(name_, "units: expected >= 1, got " + std::to_string(units));
  }
  virtual ~FusedCell() = default;
  FusedCell(const FusedCell&) = delete;
  FusedCell& operator=(const FusedCell&) = delete;

  /// [output, h, (c)]: output [N,T,H] with return_sequences, else [N,H]. One node on the tape.
  /// With return_state_sequences the states after every step follow, [N,T,H] each.
  /// Errors    std::invalid_argument on a shape or type mismatch, or a length outside [0, T]
  std::vector<Tensor> forward(RecurrentInputs in) {
    check(in);
    return run(std::move(in));
  }

  /// What a call with that x would run, in words. Errors: std::invalid_argument unless (N, T, F).
  [[nodiscard]] virtual std::string explain(const Shape& x, DType dtype,
                                            const bptt::CallForm& form) const {
    if (x.rank() != 3 || !is_floating(dtype)) {
      fail(name_, "x_shape: expected (N, T, F), got " + x.text());
    }
    const bptt::Dims dims{x[0], x[1], x[2], units_};
    bptt::CallForm whole = form;
    whole.by_rows = activations_.by_rows();
    return bptt::describe(plan(dims, dtype, whole), name_, dims, whole);
  }

  /// How many rows of x a call without dropout multiplies, if it knows that many are equal; else 0.
  [[nodiscard]] virtual Index distinct_rows(const Tensor&) const { return 0; }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int gates() const { return gates_; }
  [[nodiscard]] int states() const { return states_; }
  [[nodiscard]] Index units() const { return units_; }
  [[nodiscard]] const AnyActivations& activations() const { return activations_; }

 protected:
  virtual std::vector<Tensor> run(RecurrentInputs&& in) = 0;
  [[nodiscard]] virtual bptt::Plan plan(const bptt::Dims& dims, DType dtype,
                                        const bptt::CallForm& form) const = 0;

  void expect(const Tensor& t, const char* what, DType dtype, const Shape& shape) const {
    if (t.dtype() == dtype && t.shape() == shape) return;
    fail(name_, std::string(what) + ": expected " + shape.text() + " " + dtype_name(dtype) +
                    ", got " + t.shape().text() + " " + dtype_name(t.dtype()));
  }

  virtual void check(const RecurrentInputs& in) const {
    if (in.x.ndim() != 3 || !is_floating(in.x.dtype())) {
      fail(name_, "x: expected (N, T, F) of float32 or float64, got " + in.x.shape().text() + " " +
                      dtype_name(in.x.dtype()));
    }
    const DType dtype = in.x.dtype();
    const Index n = in.x.dim(0), t = in.x.dim(1), f = in.x.dim(2), gh = gates_ * units_;
    expect(in.kernel, "kernel", dtype, {f, gh});
    expect(in.recurrent_kernel, "recurrent_kernel", dtype, {units_, gh});
    if (in.bias.defined()) {
      const bool two_rows = name_ == "gru_reset_after" && in.bias.ndim() == 2;
      expect(in.bias, "bias", dtype, two_rows ? Shape{2, gh} : Shape{gh});
    }
    check_states(in.initial_state, dtype, {n, units_});
    if (in.mask.defined()) expect(in.mask, "mask", DType::bool_, {n, t});
    if (in.reset_mask.defined()) expect(in.reset_mask, "reset_mask", DType::bool_, {n, t});
    if (in.lengths.defined()) check_lengths(in.lengths, n, t);
    check_dropout(in.input_dropout, "input_dropout", dtype, {n, f});
    check_dropout(in.recurrent_dropout, "recurrent_dropout", dtype, {n, units_});
  }

  void check_lengths(const Tensor& lengths, Index n, Index t) const {
    expect(lengths, "lengths", DType::int64, {n});
    const std::int64_t* values = lengths.data<std::int64_t>();
    for (Index i = 0; i < n; ++i) {
      if (values[i] >= 0 && values[i] <= t) continue;
      fail(name_, "lengths: expected 0 to " + std::to_string(t) + ", got " +
                      std::to_string(values[i]) + " in row " + std::to_string(i));
    }
  }

  void check_states(const std::vector<Tensor>& states, DType dtype, const Shape& shape) const {
    if (!states.empty() && states.size() != static_cast<std::size_t>(states_)) {
      fail(name_, "initial_state: expected " + std::to_string(states_) + " tensors, got " +
                      std::to_string(states.size()));
    }
    for (const Tensor& state : states) expect(state, "initial_state", dtype, shape);
  }

  /// [1 or gates, ...], with the sizes of what the factors multiply.
  void check_dropout(const Tensor& factors, const char* what, DType dtype, Shape shape) const {
    if (!factors.defined()) return;
    const bool per_gate = factors.ndim() > 0 && factors.dim(0) == gates_;
    shape.insert(0, per_gate ? Index(gates_) : 1);
    expect(factors, what, dtype, shape);
  }

 private:
  std::string name_;
  int gates_, states_;
  Index units_;
  AnyActivations activations_;
};

namespace detail {

/// Weights packed for one set of variable versions; repacked in place when nobody else reads them.
template <class Packed>
class PackedCache {
 public:
  using Key = std::array<std::uint64_t, 4>;

  template <class Pack>
  std::shared_ptr<const Packed> get(const Key& key, bool cacheable, Pack&& pack) {
    const std::lock_guard lock(mutex_);
    if (cacheable && packed_ && key == key_) return packed_;
    if (!packed_ || packed_.use_count() != 1) packed_ = std::make_shared<Packed>();
    pack(*packed_);
    key_ = cacheable ? key : Key{};
    return packed_;
  }

  /// Whether get() would find the weights packed already.
  bool holds(const Key& key) {
    const std::lock_guard lock(mutex_);
    return packed_ && key == key_;
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Packed> packed_;
  Key key_{};
};

}  // namespace detail

template <class Cell>
class FusedCellOf final : public FusedCell {
 public:
  FusedCellOf(Index units, const AnyActivations& activations)
      : FusedCell(Cell::kName, Cell::kGates, Cell::kStates, units, activations),
        caches_(std::make_shared<Caches>()) {}

 private:
  using Dims = bptt::Dims;

  template <class T>
  struct CachesOf {
    detail::PackedCache<bptt::ForwardWeights<T, Cell>> forward;
    detail::PackedCache<bptt::BackwardWeights<T, Cell>> backward;
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

  // One call: its inputs, and for training what the backward run needs.
  template <class T>
  struct Call {
    Call(RecurrentInputs&& inputs, const FusedCellOf& cell)
        : in(std::move(inputs)),
          activations(cell.activations()),
          caches(cell.caches_),
          units(cell.units()) {
      const DType dtype = in.x.dtype();
      const Index n = in.x.dim(0);
      const Shape whole{n, in.x.dim(1), units};
      output = in.return_sequences ? Tensor(whole, dtype) : Tensor::zeros({n, units}, dtype);
      if (in.return_state_sequences) {
        // Where no step is skipped, h of every step is the output, under an identity of its own.
        const bool skips = in.mask.defined() || in.lengths.defined();
        h_all = in.return_sequences && !skips ? output.view(whole) : Tensor(whole, dtype);
        if (Cell::kStates == 2) c_all = Tensor(whole, dtype);
      }
    }

    RecurrentInputs in;
    AnyActivations activations;
    std::shared_ptr<Caches> caches;
    Index units = 0;
    Tensor output;
    Tensor h_all, c_all;  // states after every step; h_all is also kept where there is no sequence
    AlignedBuffer<T> slots, c;
    bool consumed = false;

    Dims dims() const { return {in.x.dim(0), in.x.dim(1), in.x.dim(2), units}; }
    static const T* data(const Tensor& t) { return t.defined() ? t.data<T>() : nullptr; }
    const T* state(std::size_t i) const {
      return i < in.initial_state.size() ? in.initial_state[i].data<T>() : nullptr;
    }

    bptt::Inputs<T> inputs() const {
      bptt::Inputs<T> out;
      out.dims = dims();
      const Index f = out.dims.features;
      out.x = {in.x.data<T>(), out.dims.time * f, f};
      out.h0 = state(0);
      if (Cell::kStates == 2) out.c0 = state(1);
      out.mask = bytes(in.mask);
      out.reset = bytes(in.reset_mask);
      if (in.lengths.defined()) out.lengths = in.lengths.data<std::int64_t>();
      out.resets_to_zeros = in.reset_to_zeros;
      if (const Tensor ids = in.x.row_ids(); ids.defined()) out.row_ids = ids.data<std::int64_t>();
      out.input_dropout = factors(in.input_dropout);
      out.recurrent_dropout = factors(in.recurrent_dropout);
      out.go_backwards = in.go_backwards;
      out.zero_output_for_mask = in.zero_output_for_mask;
      return out;
    }
    static const std::uint8_t* bytes(const Tensor& t) {
      return t.defined() ? reinterpret_cast<const std::uint8_t*>(t.data<bool>()) : nullptr;
    }
    static bptt::Factors<T> factors(const Tensor& t) {
      if (!t.defined()) return {};
      return {t.data<T>(), static_cast<int>(t.dim(0)), t.dim(1), t.dim(2)};
    }
    bptt::KerasWeights<T> weights() const {
      return {in.kernel.data<T>(), in.recurrent_kernel.data<T>(), data(in.bias),
              in.bias.defined() && in.bias.ndim() == 2 ? 2 : 1};
    }
    typename detail::PackedCache<int>::Key key() const {
      return {in.kernel.version(), in.recurrent_kernel.version(),
              in.bias.defined() ? in.bias.version() : 0, 1};
    }
    bool cacheable() const {
      return in.kernel.version() != 0 && in.recurrent_kernel.version() != 0 &&
             (!in.bias.defined() || in.bias.version() != 0);
    }

    bptt::Sequence<T> sequence(Tensor& t, bool whole) const {
      const Dims d = dims();
      return {t.mutable_data<T>(), whole ? d.time * d.units : d.units, whole ? d.units : 0};
    }

    // A single row and step reads every weight once, so that packing them first would take most of
    // the time; in training they change before the next call.
    bool reads_unpacked(bool training) const {
      const Dims d = dims();
      const bool per_gate = (in.input_dropout.defined() && in.input_dropout.dim(0) > 1) ||
                            (in.recurrent_dropout.defined() && in.recurrent_dropout.dim(0) > 1);
      return training && Cell::kPhases == 1 && d.batch == 1 && d.time == 1 && !per_gate &&
             !inputs().scheduled() &&
             !(cacheable() && caches->template of<T>().forward.holds(key()));
    }

    // [output, h, (c), (h_all, (c_all))], or without h and c.
    std::vector<Tensor> run_forward(bool training) {
      std::vector<Tensor> outputs;
      outputs.reserve(1 + 2 * Cell::kStates);
      outputs.push_back(output);
      for (int i = 0; in.return_state && i < Cell::kStates; ++i) {
        outputs.emplace_back(Shape{in.x.dim(0), units}, in.x.dtype());
      }
      const auto state_of = [&](std::size_t i) {
        return i < outputs.size() ? outputs[i].template mutable_data<T>() : nullptr;
      };
      if (training && !in.return_sequences && !h_all.defined()) {
        h_all = Tensor({in.x.dim(0), in.x.dim(1), units}, in.x.dtype());
      }
      run_loop(training, state_of(1), state_of(2));
      if (in.return_state_sequences) {
        outputs.push_back(h_all);
        if (Cell::kStates == 2) outputs.push_back(c_all);
      }
      return outputs;
    }

    void run_loop(bool training, T* h_last, T* c_last) {
      const Dims d = dims();
      std::shared_ptr<const bptt::ForwardWeights<T, Cell>> packed;
      bptt::ForwardWeights<T, Cell> unpacked;
      if (reads_unpacked(training)) {
        unpacked.refer(d.features, d.units, weights());
      } else {
        packed = caches->template of<T>().forward.get(
            key(), cacheable(), [&](auto& w) { w.pack(d.features, d.units, weights()); });
      }
      bptt::Outputs<T> out;
      out.out = sequence(output, in.return_sequences);
      out.h_last = h_last;
      out.c_last = c_last;
      if (in.return_state_sequences) {
        out.h_all = sequence(h_all, true);
        if (Cell::kStates == 2) out.c_all = sequence(c_all, true);
      }
      const bptt::Inputs<T> given = inputs();
      if (training) {
        const Index kept = bptt::slots_size<T, Cell>(given);
        slots.ensure(kept);
        if (Cell::kStates == 2) c.ensure(kept / Cell::kSlots);
        out.saved = saved();
        // A run over nothing keeps nothing, but is still a training run.
        if (out.saved.slots == nullptr) out.saved = {};
      }
      bptt::forward<T, Cell>(given, packed ? *packed : unpacked, activations, out);
    }
    bptt::Saved<T> saved() {
      return {slots.data(), Cell::kStates == 2 ? c.data() : nullptr,
              sequence(in.return_sequences ? output : h_all, true)};
    }

    // x_by_id: the gradient of x is only summed by its row ids.
    std::vector<Tensor> run_backward(const std::vector<Tensor>& d_outputs,
                                     const std::vector<bool>& needed, bool x_by_id) {
      if (consumed) {  // a persistent tape asks again: the gates are computed once more
        run_loop(true, nullptr, nullptr);
      }
      consumed = true;
      const Dims d = dims();
      // The gradient of the first state alone runs through the recurrent kernel at the first step.
      const std::size_t first_state = in.bias.defined() ? 4 : 3;
      const bool with_h =
          d.time > 1 || Cell::kPhases > 1 || (!in.initial_state.empty() && needed[first_state]);
      const auto packed = caches->template of<T>().backward.get(
          backward_key(needed[0], with_h), cacheable(),
          [&](auto& w) { w.pack(d.features, d.units, weights(), needed[0], with_h); });
      bptt::OutputGradients<T> arriving;
      arriving.out = {data(d_outputs[0]), in.return_sequences ? d.time * d.units : d.units,
                      in.return_sequences ? d.units : 0};
      arriving.h_last = data(d_outputs[1]);
      if (Cell::kStates == 2) arriving.c_last = data(d_outputs[2]);
      if (in.return_state_sequences) {
        const auto of_all = [&](std::size_t i) {
          return bptt::Sequence<const T>{data(d_outputs[i]), d.time * d.units, d.units};
        };
        arriving.h_all = of_all(1 + Cell::kStates);
        if (Cell::kStates == 2) arriving.c_all = of_all(2 + Cell::kStates);
      }
      std::vector<Tensor> gradients(needed.size());
      const auto wanted = [&](std::size_t i, const Tensor& like, bool zeroed = true) -> T* {
        if (i >= needed.size() || !needed[i] || !like.defined()) return nullptr;
        gradients[i] =
            zeroed ? Tensor::zeros(like.shape(), like.dtype()) : Tensor(like.shape(), like.dtype());
        return gradients[i].template mutable_data<T>();
      };
      bptt::InputGradients<T> leaving;
      leaving.x = wanted(0, in.x, false);
      leaving.overwrite = true;
      leaving.x_by_id = x_by_id;
      leaving.kernel = wanted(1, in.kernel, false);
      leaving.recurrent_kernel = wanted(2, in.recurrent_kernel, false);
      if (in.bias.defined()) {
        leaving.bias = wanted(3, in.bias);
        leaving.bias_rows = weights().bias_rows;
      }
      if (!in.initial_state.empty()) {
        leaving.h0 = wanted(first_state, in.initial_state[0]);
        if (Cell::kStates == 2) leaving.c0 = wanted(first_state + 1, in.initial_state[1]);
      }
      bptt::backward<T, Cell>(inputs(), *packed, activations, saved(), arriving, leaving);
      return gradients;
    }
    // Only what the gradients that somebody asks for need is packed.
    typename detail::PackedCache<int>::Key backward_key(bool with_x, bool with_h) const {
      auto out = key();
      out[3] = 1 + (with_x ? 1u : 0u) + (with_h ? 2u : 0u);
      return out;
    }
  };

  [[nodiscard]] bptt::Plan plan(const bptt::Dims& dims, DType dtype,
                                const bptt::CallForm& form) const override {
    return dtype == DType::float32 ? bptt::make_plan<float, Cell>(dims, form)
                                   : bptt::make_plan<double, Cell>(dims, form);
  }

  [[nodiscard]] Index distinct_rows(const Tensor& x) const override {
    if (x.ndim() != 3 || !x.row_ids().defined()) return 0;
    const auto count = [&]<class T>() {
      bptt::Inputs<T> in;
      in.dims = {x.dim(0), x.dim(1), x.dim(2), units()};
      in.row_ids = x.row_ids().template data<std::int64_t>();
      const bptt::DistinctRows* rows = bptt::detail::find_distinct_rows<T, Cell>(in, nullptr);
      return rows == nullptr ? Index{0} : rows->count();
    };
    return x.dtype() == DType::float32 ? count.template operator()<float>()
                                       : count.template operator()<double>();
  }

  std::vector<Tensor> run(RecurrentInputs&& in) override {
    return in.x.dtype() == DType::float32 ? run_as<float>(std::move(in))
                                          : run_as<double>(std::move(in));
  }

  template <class T>
  std::vector<Tensor> run_as(RecurrentInputs&& in) {
    if (detail::t_active == 0) return run_once<T>(std::move(in));
    std::vector<Tensor> tracked{in.x, in.kernel, in.recurrent_kernel};
    if (in.bias.defined()) tracked.push_back(in.bias);
    tracked.insert(tracked.end(), in.initial_state.begin(), in.initial_state.end());
    if (!recording(tracked)) return run_once<T>(std::move(in));
    in.return_state = true;
    auto call = std::make_shared<Call<T>>(std::move(in), *this);
    std::vector<Tensor> outputs = call->run_forward(true);
    record_into(Cell::kName, tracked, outputs,
                [call](const std::vector<Tensor>& d_outputs, GradientSink& sink) {
                  // Whoever made x sums its gradient by row ids, if it has them.
                  sink.add_all(call->run_backward(d_outputs, sink.needed(), !sink.is_source(0)));
                });
    return outputs;
  }

  template <class T>
  std::vector<Tensor> run_once(RecurrentInputs&& in) {
    return Call<T>(std::move(in), *this).run_forward(false);
  }

  std::shared_ptr<Caches> caches_;
};

}  // namespace elman
