// SPDX-License-Identifier: Apache-2.0
// recurrent_test.cpp: the fused layer on the tape, from C++.
#include "elman/autograd/recurrent.hpp"

#include <cmath>
#include <thread>

#include "check.hpp"
#include "elman/core/random.hpp"

namespace {

using namespace elman;

Tensor draw(const Shape& shape, std::uint64_t seed) {
  Tensor out(shape, DType::float64);
  fill_uniform({seed, 0}, -0.8, 0.8, out.mutable_data<double>(), out.size());
  return out;
}

struct Layer {
  std::unique_ptr<FusedCell> cell;
  Variable kernel, recurrent, bias;

  explicit Layer(const char* kind, Index f, Index h)
      : cell(make_fused_cell(kind, h)),
        kernel(draw({f, cell->gates() * h}, 1)),
        recurrent(draw({h, cell->gates() * h}, 2)),
        bias(draw({cell->gates() * h}, 3)) {}

  RecurrentInputs inputs(const Tensor& x) const {
    RecurrentInputs in;
    in.x = x;
    in.kernel = kernel.value();
    in.recurrent_kernel = recurrent.value();
    in.bias = bias.value();
    return in;
  }
};

double sum(const Tensor& t) {
  double total = 0;
  for (Index i = 0; i < t.size(); ++i) total += t.data<double>()[i];
  return total;
}

TEST(gradients_through_the_tape) {
  for (const char* kind : {"simple_rnn", "gru", "gru_reset_after", "lstm"}) {
    Layer layer(kind, 2, 3);
    const Tensor x = draw({4, 5, 2}, 4);
    Tape tape;
    Tensor out;
    {
      const Tape::Scope scope(tape);
      out = layer.cell->forward(layer.inputs(x))[0];
    }
    const Tensor found = tape.gradient(out, layer.kernel);
    CHECK(found.shape() == layer.kernel.shape());
    const double step = 1e-6;
    for (const Index i : {Index(0), layer.kernel.size() - 1}) {
      double ends[2];
      for (int side = 0; side < 2; ++side) {
        Tensor changed = layer.kernel.copy();
        changed.mutable_data<double>()[i] += side == 0 ? -step : step;
        RecurrentInputs in = layer.inputs(x);
        in.kernel = changed;
        ends[side] = sum(layer.cell->forward(in)[0]);
      }
      CHECK_NEAR(found.data<double>()[i], (ends[1] - ends[0]) / (2 * step), 1e-8);
    }
  }
}

TEST(a_persistent_tape_gives_the_same_gradients_twice) {
  Layer layer("lstm", 3, 5);
  const Tensor x = draw({2, 7, 3}, 5);
  Tape tape(true);
  Tensor out;
  {
    const Tape::Scope scope(tape);
    out = layer.cell->forward(layer.inputs(x))[0];
  }
  const Tensor first = tape.gradient(out, layer.recurrent);
  layer.kernel.assign(draw(layer.kernel.shape(), 9));  // later values do not reach the recording
  const Tensor again = tape.gradient(out, layer.recurrent);
  CHECK(check::same_bits(first.data<double>(), again.data<double>(), std::size_t(first.size())));
}

TEST(packed_weights_follow_the_variable) {
  Layer layer("gru", 2, 4);
  const Tensor x = draw({1, 3, 2}, 6);
  const Tensor before = layer.cell->forward(layer.inputs(x))[0];
  layer.kernel.assign(draw(layer.kernel.shape(), 10));
  const Tensor after = layer.cell->forward(layer.inputs(x))[0];
  CHECK(sum(before) != sum(after));
  Layer fresh("gru", 2, 4);
  fresh.kernel.assign(layer.kernel.value());
  CHECK_EQ(sum(fresh.cell->forward(fresh.inputs(x))[0]), sum(after));
}

TEST(one_cell_from_many_threads) {
  Layer layer("lstm", 4, 8);
  const Tensor x = draw({3, 50, 4}, 7);
  const double want = sum(layer.cell->forward(layer.inputs(x))[0]);
  std::vector<double> got(8);
  std::vector<std::thread> threads;
  for (double& value : got) {
    threads.emplace_back([&] { value = sum(layer.cell->forward(layer.inputs(x))[0]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double value : got) CHECK_EQ(value, want);
}

TEST(errors_name_the_argument) {
  Layer layer("lstm", 2, 3);
  CHECK_THROWS(layer.cell->forward(layer.inputs(draw({4, 5}, 8))), std::invalid_argument,
               "[lstm] x: expected (N, T, F)");
  CHECK_THROWS(layer.cell->forward(layer.inputs(draw({4, 5, 3}, 8))), std::invalid_argument,
               "kernel: expected (3, 12) float64, got (2, 12) float64");
  CHECK_THROWS(make_fused_cell("nope", 3), std::invalid_argument, "kind: expected one of");
  CHECK_THROWS(make_fused_cell("lstm", 0), std::invalid_argument, "units: expected >= 1");
  CHECK_THROWS(make_fused_cell("lstm", 3, "nope"), std::invalid_argument, "unknown name");
}

TEST(the_plan_in_words) {
  const auto cell = make_fused_cell("lstm", 128);
  bptt::CallForm form;
  const auto says = [&](const char* what) {
    const std::string text = cell->explain({32, 100, 64}, DType::float32, form);
    return text.find(what) != std::string::npos;
  };
  CHECK(says("compiled kernel lstm: 32 rows, 100 steps"));
  CHECK(!says("kept for the backward pass"));
  form.training = true;
  CHECK(says("kept for the backward pass: 9600 KiB"));  // 8000 and h of every step
  form.return_sequences = true;
  CHECK(says("kept for the backward pass: 8000 KiB"));
  form.scheduled = true;
  form.used_steps = 1600;
  CHECK(says("1600 of 3200 steps are computed"));
  CHECK(says("kept for the backward pass: 4000 KiB"));
}

}  // namespace
