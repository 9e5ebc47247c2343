// SPDX-License-Identifier: Apache-2.0
// stream_test.cpp: a layer one step at a time against the same layer over the whole sequence, bit
// by bit, and no memory taken on the way.
#include "elman/bptt/stream.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <vector>

#include "check.hpp"
#include "elman/bptt/recurrent.hpp"
#include "elman/cells/gru.hpp"
#include "elman/cells/lstm.hpp"
#include "elman/cells/simple_rnn.hpp"
#include "elman/core/random.hpp"

namespace {

std::atomic<int> allocations{0};

// Not inlined: the compiler would see memory of operator new go to free().
__attribute__((noinline)) void give(void* p) { std::free(p); }

void* take(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* p = std::aligned_alloc(alignment, elman::round_up(bytes + 1, alignment));
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(std::size_t bytes) { return take(bytes, 16); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return take(bytes, 16);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { give(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { give(p); }
void operator delete(void* p, std::size_t) noexcept { give(p); }
void operator delete(void* p, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give(p); }

namespace {

using namespace elman;

template <class T>
std::vector<T> draw(Index count, std::uint64_t seed) {
  std::vector<T> out(std::size_t(count), T(0));
  fill_uniform<T>(RandomKey{seed, 3}, T(-0.6), T(0.6), out.data(), count);
  return out;
}

template <class T, class Cell>
struct Layer {
  static constexpr Index kTime = 7;
  Index n, f, h;
  AnyActivations fn;
  std::vector<T> x, kernel, recurrent, bias;

  Layer(Index n, Index f, Index h, const AnyActivations& fn = {})
      : n(n),
        f(f),
        h(h),
        fn(fn),
        x(draw<T>(n * kTime * f, 1)),
        kernel(draw<T>(f * Cell::kGates * h, 2)),
        recurrent(draw<T>(h * Cell::kGates * h, 3)),
        bias(draw<T>(2 * Cell::kGates * h, 4)) {}

  bptt::KerasWeights<T> weights() const {
    const bool two = Cell::kSlots != Cell::kGates && Cell::kPhases == 1;  // GruResetAfter
    return {kernel.data(), recurrent.data(), bias.data(), two ? 2 : 1};
  }
  bptt::Stream<T, Cell> stream() const { return {f, h, weights(), fn, n}; }

  /// Outputs [N,T,H], then the last states.
  std::vector<T> whole(const T* h0, const T* c0, std::vector<T>& h_last, std::vector<T>& c_last,
                       const std::uint8_t* reset = nullptr) const {
    bptt::ForwardWeights<T, Cell> packed;
    packed.pack(f, h, weights());
    bptt::Inputs<T> in;
    in.dims = {n, kTime, f, h};
    in.x = {x.data(), kTime * f, f};
    in.h0 = h0;
    in.c0 = c0;
    in.reset = reset;
    in.resets_to_zeros = true;
    std::vector<T> out(std::size_t(n * kTime * h), T(0));
    h_last.assign(std::size_t(n * h), T(0));
    c_last = h_last;
    bptt::Outputs<T> outputs;
    outputs.out = {out.data(), kTime * h, h};
    outputs.h_last = h_last.data();
    outputs.c_last = Cell::kStates == 2 ? c_last.data() : nullptr;
    bptt::forward<T, Cell>(in, packed, fn, outputs);
    return out;
  }

  /// The steps [first, kTime) of the stream, written to [N,T,H]; returns how often memory was
  /// taken.
  int run(bptt::Stream<T, Cell>& stream, std::vector<T>& out, Index first = 0) const {
    out.assign(std::size_t(n * kTime * h), T(0));
    // One element off: neither side needs to be aligned.
    std::vector<T> xt(std::size_t(n * f + 1)), ht(std::size_t(n * h + 1));
    int taken = 0;
    for (Index t = first; t < kTime; ++t) {
      for (Index r = 0; r < n; ++r) {
        std::copy_n(x.data() + (r * kTime + t) * f, f, xt.data() + 1 + r * f);
      }
      const int before = allocations;
      stream.step(xt.data() + 1, ht.data() + 1);
      taken += allocations - before;
      for (Index r = 0; r < n; ++r) {
        std::copy_n(ht.data() + 1 + r * h, h, out.data() + (r * kTime + t) * h);
      }
    }
    return taken;
  }
};

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && check::same_bits(a.data(), b.data(), a.size());
}

template <class T, class Cell>
std::vector<T> state(const bptt::Stream<T, Cell>& stream, int index) {
  std::vector<T> out;
  for (Index r = 0; r < stream.rows(); ++r) {
    const T* from = stream.h(r);
    if constexpr (Cell::kStates == 2) from = index == 0 ? from : stream.c(r);
    out.insert(out.end(), from, from + stream.units());
  }
  return out;
}

template <class T, class Cell>
void compare(const Layer<T, Cell>& layer) {
  std::vector<T> h_last, c_last, out, h, c;
  const std::vector<T> whole = layer.whole(nullptr, nullptr, h_last, c_last);
  auto stream = layer.stream();
  CHECK_EQ(layer.run(stream, out), 0);
  CHECK(same(out, whole));
  CHECK(same(state(stream, 0), h_last));
  if (Cell::kStates == 2) CHECK(same(state(stream, 1), c_last));

  const int before = allocations;
  stream.reset();
  CHECK_EQ(allocations - before, 0);
  CHECK_EQ(layer.run(stream, out), 0);
  CHECK(same(out, whole));

  const std::vector<T> h0 = draw<T>(layer.n * layer.h, 5), c0 = draw<T>(layer.n * layer.h, 6);
  const std::vector<T> continued =
      layer.whole(h0.data(), Cell::kStates == 2 ? c0.data() : nullptr, h_last, c_last);
  stream.set_h(h0.data());
  CHECK(same(state(stream, 0), h0));
  if constexpr (Cell::kStates == 2) stream.set_c(c0.data());
  CHECK_EQ(layer.run(stream, out), 0);
  CHECK(same(out, continued));

  // The last row starts anew, the others go on.
  std::vector<std::uint8_t> reset(std::size_t(layer.n * layer.kTime), 0);
  reset[std::size_t((layer.n - 1) * layer.kTime)] = 1;
  const std::vector<T> partly = layer.whole(h0.data(), Cell::kStates == 2 ? c0.data() : nullptr,
                                            h_last, c_last, reset.data());
  stream.set_h(h0.data());
  if constexpr (Cell::kStates == 2) stream.set_c(c0.data());
  stream.reset(layer.n - 1);
  CHECK_EQ(layer.run(stream, out), 0);
  CHECK(same(out, partly));
}

template <class T>
void compare_cells(Index n, Index f, Index h, const AnyActivations& fn = {}) {
  compare(Layer<T, SimpleRnn>(n, f, h, fn));
  compare(Layer<T, Gru>(n, f, h, fn));
  compare(Layer<T, GruResetAfter>(n, f, h, fn));
  compare(Layer<T, Lstm>(n, f, h, fn));
}

TEST(steps_are_the_sequence) {
  compare_cells<float>(1, 5, 19);
  compare_cells<float>(3, 5, 19);
  compare_cells<double>(1, 5, 19);
  compare_cells<double>(3, 5, 19);
  compare_cells<float>(1, 1, 1);
  compare_cells<double>(7, 3, 71);
}

TEST(steps_with_any_activation) {
  const AnyActivations fn{Activation::relu, Activation::hard_sigmoid};
  compare_cells<float>(1, 5, 19, fn);
  compare_cells<double>(3, 5, 19, fn);
}

TEST(large_steps_are_shared_among_threads) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool::global().resize(threads);
    compare(Layer<float, Lstm>(1, 300, 400));
    compare(Layer<float, Gru>(2, 290, 390));
    compare(Layer<float, Gru>(1, 290, 800));
    compare(Layer<double, GruResetAfter>(1, 410, 430));
  }
  ThreadPool::global().resize(1);
}

TEST(many_rows_over_weights_beyond_the_cache) { compare(Layer<double, SimpleRnn>(29, 3100, 11)); }

TEST(weights_without_bias) {
  Layer<float, Lstm> layer(2, 3, 17);
  layer.bias.assign(layer.bias.size(), 0.0F);
  std::vector<float> h, c, out;
  const std::vector<float> whole = layer.whole(nullptr, nullptr, h, c);
  bptt::KerasWeights<float> weights = layer.weights();
  weights.bias = nullptr;
  bptt::Stream<float, Lstm> stream(layer.f, layer.h, weights, {}, layer.n);
  layer.run(stream, out);
  CHECK(same(out, whole));
}

TEST(infinite_weights_meet_the_first_state) {
  Layer<float, Lstm> layer(1, 3, 5);
  layer.recurrent[7] = std::numeric_limits<float>::infinity();
  std::vector<float> h, c, out;
  const std::vector<float> whole = layer.whole(nullptr, nullptr, h, c);
  auto stream = layer.stream();
  layer.run(stream, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    CHECK(out[i] == whole[i] || (std::isnan(out[i]) && std::isnan(whole[i])));
  }
}

TEST(streams_share_weights_and_continue_with_new_ones) {
  const Layer<float, GruResetAfter> layer(1, 4, 9);
  auto weights = std::make_shared<bptt::ForwardWeights<float, GruResetAfter>>();
  weights->pack(layer.f, layer.h, layer.weights());
  bptt::Stream<float, GruResetAfter> a(weights), b(weights);
  std::vector<float> out_a, out_b;
  layer.run(a, out_a);
  layer.run(b, out_b);
  CHECK(same(out_a, out_b));
  Layer<float, GruResetAfter> other = layer;
  for (float& w : other.kernel) w *= 2;
  weights->pack(other.f, other.h, other.weights());
  auto expected = other.stream();
  expected.set_h(a.h());
  const bptt::Stream<float, GruResetAfter> moved(std::move(expected));
  CHECK(check::same_bits(moved.h(), a.h(), 9));
  auto continued = other.stream();
  continued.set_h(a.h());
  layer.run(a, out_a);
  layer.run(continued, out_b);
  CHECK(same(out_a, out_b));
}

TEST(sizes_are_checked) {
  using S = bptt::Stream<float, Lstm>;
  const Layer<float, Lstm> layer(1, 2, 3);
  CHECK_THROWS(S(2, 3, layer.weights(), {}, 0), std::invalid_argument,
               "[Stream] rows: expected >= 1, got 0");
  CHECK_THROWS(S(0, 3, layer.weights()), std::invalid_argument,
               "[Stream] sizes: expected features and units >= 1, got 0 and 3");
  CHECK_THROWS(S(std::shared_ptr<const S::Weights>()), std::invalid_argument, "[Stream] weights");
}

}  // namespace
