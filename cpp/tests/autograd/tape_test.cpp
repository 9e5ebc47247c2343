// SPDX-License-Identifier: Apache-2.0
// tape_test.cpp: what a tape records, what it answers, and what it refuses.
#include "elman/autograd/tape.hpp"

#include <limits>

#include "autograd/numeric.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/ops_shape.hpp"

namespace {

using namespace elman;
using numeric::expect;
using numeric::recorded;
using numeric::vec;

TEST(a_watched_tensor_has_a_gradient) {
  const Tensor x = vec({1, -2, 3}), other = vec({5, 5, 5});
  Tape tape;
  tape.watch(x);
  const Tensor y = recorded(tape, [&] { return x * x * other; });
  const std::vector<Tensor> d = tape.gradient({y}, {x, other});
  expect("10 x", d[0], {3}, {10, -20, 30});
  CHECK(!d[1].defined());  // nobody watched it
}

TEST(variables_are_watched_when_they_are_used) {
  const Variable used(vec({3})), fixed(vec({4}), "fixed", false), idle(vec({1}));
  Tape tape;
  const Tensor y = recorded(tape, [&] { return used * fixed; });
  const auto d = tape.gradient({y}, {used, fixed, idle});
  expect("trainable", d[0], {1}, {4});
  CHECK(!d[1].defined());
  CHECK(!d[2].defined());

  Tape asked(false, false);
  const Variable also(vec({5}));
  asked.watch(also);
  const Tensor z = recorded(asked, [&] { return used * also; });
  const auto e = asked.gradient({z}, {used, also});
  CHECK(!e[0].defined());
  expect("watched by hand", e[1], {1}, {3});
}

TEST(a_tape_answers_once_and_a_persistent_one_always) {
  const Variable x(vec({3}));
  Tape once, always(true);
  const Tensor y = recorded(once, [&] { return recorded(always, [&] { return x * x; }); });
  expect("once", once.gradient(y, x), {1}, {6});
  CHECK_THROWS(once.gradient(y, x), std::logic_error, "gives one set of gradients");
  CHECK_THROWS(once.start(), std::logic_error, "has given its gradients");
  expect("first", always.gradient(y, x), {1}, {6});
  const Tensor z = recorded(always, [&] { return y * y; });  // it goes on recording
  expect("later", always.gradient(z, x), {1}, {108});
  expect("from the middle", always.gradient(z, y), {1}, {18});
  always.reset();
  CHECK(!always.gradient(z, x).defined());
}

TEST(uses_of_one_tensor_add_up) {
  const Tensor x = vec({2, 3});
  Tape tape(true);
  tape.watch(x);
  Tensor twice, both, long_sum = x;
  {
    const Tape::Scope scope(tape);
    twice = x + x;
    both = x * x + twice;
    for (int i = 0; i < 50; ++i) long_sum = long_sum + x;
  }
  expect("x + x", tape.gradient(twice, x), {2}, {2, 2});
  expect("x x + 2 x", tape.gradient(both, x), {2}, {6, 8});
  expect("51 x", tape.gradient(long_sum, x), {2}, {51, 51});
  expect("itself", tape.gradient(x, x), {2}, {1, 1});
  const auto d = tape.gradient({twice, both}, {x, twice, x});  // of the sum of the targets
  expect("of two targets", d[0], {2}, {8, 10});
  expect("a source in the middle", d[1], {2}, {2, 2});
  expect("a source given twice", d[2], {2}, {8, 10});
}

TEST(a_later_assign_does_not_reach_the_recording) {
  Variable v(vec({3}));
  Tape tape(true);
  tape.start();
  const Tensor before = v * v;
  v.assign(vec({5}));
  const Tensor after = v * v;
  *v.update<double>() = 7;  // in place, but not where the tape looks
  tape.stop();
  expect("before", tape.gradient(before, v), {1}, {6});
  expect("after", tape.gradient(after, v), {1}, {10});
  expect("both", tape.gradient(std::vector<Tensor>{before, after}, {v})[0], {1}, {16});
  expect("now", v, {1}, {7});
}

TEST(recording_can_be_stopped) {
  const Variable x(vec({3}));
  Tape tape(true);
  tape.start();
  tape.pause();
  tape.pause();
  tape.resume();
  CHECK(!recording({&x}));
  const Tensor unseen = x * x;
  tape.resume();
  CHECK(recording({&x}));
  Tensor hidden;
  {
    const NoRecording off;
    hidden = x * x;
  }
  const Tensor part = ops::stop_gradient(x * x) * x;
  tape.stop();
  CHECK(!recording({&x}));
  CHECK(!tape.gradient(unseen, x).defined());
  CHECK(!tape.gradient(hidden, x).defined());
  expect("stop_gradient", tape.gradient(part, x), {1}, {9});
}

TEST(weights_of_the_targets) {
  const Tensor x = vec({2, 3});
  Tape tape(true);
  tape.watch(x);
  const Tensor y = recorded(tape, [&] { return x * x; });
  expect("weighted", tape.gradient({y}, {x}, {vec({10, 0})})[0], {2}, {40, 0});
  expect("undefined: ones", tape.gradient({y}, {x}, {Tensor()})[0], {2}, {4, 6});
  CHECK_THROWS(tape.gradient({y}, {x}, {vec({1})}), std::invalid_argument,
               "output_gradients: expected (2,) float64 as the target, got (1,) float64");
}

TEST(what_has_no_gradient) {
  const Tensor whole = Tensor::zeros({2}, DType::int32);
  Tape tape(true);
  CHECK_THROWS(tape.watch(whole), std::invalid_argument, "expected float32 or float64, got int32");
  CHECK_THROWS(tape.gradient(whole, whole), std::invalid_argument, "target: expected float32");
  const Tensor none(Shape{0, 3}, DType::float64);
  const Tensor nan = vec({std::numeric_limits<double>::quiet_NaN()});
  tape.watch(none);
  tape.watch(nan);
  const Tensor y = recorded(tape, [&] { return none * none; });
  const Tensor z = recorded(tape, [&] { return nan * nan; });
  expect("no elements", tape.gradient(y, none), {0, 3}, {});
  expect("NaN goes through", tape.gradient(z, nan), {1}, {numeric::at(nan, 0)});
}

}  // namespace
