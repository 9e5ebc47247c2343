// SPDX-License-Identifier: Apache-2.0
// tape_nesting_test.cpp: tapes inside of tapes, nodes of users, threads and dropped tapes.
#include "elman/autograd/tape.hpp"

#include <memory>
#include <thread>

#include "autograd/numeric.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/ops_shape.hpp"

namespace {

using namespace elman;
using numeric::expect;
using numeric::recorded;
using numeric::vec;

TEST(nested_tapes_see_the_same_operations) {
  const Variable x(vec({3}));
  Tape outer;
  Tensor y, z, slope;
  {
    const Tape::Scope outside(outer);
    Tape inner;
    {
      const Tape::Scope inside(inner);
      y = x * x;
    }
    slope = inner.gradient(y, x);
    z = y + ops::stop_gradient(slope) * x;
  }
  expect("inner", slope, {1}, {6});
  expect("outer", outer.gradient(z, x), {1}, {12});
}

TEST(second_derivatives_are_refused) {
  const Variable x(vec({3}));
  Tape outer;
  const Tensor slope = recorded(outer, [&] {
    Tape inner;
    const Tensor y = recorded(inner, [&] { return x * x; });
    return inner.gradient(y, x);
  });
  CHECK_THROWS(outer.gradient(slope, x), std::logic_error, "second derivatives");
  Tape next;  // the failure left nothing behind
  const Tensor y = recorded(next, [&] { return x * x; });
  expect("next", next.gradient(y, x), {1}, {6});
}

TEST(a_node_of_ones_own) {
  const Tensor a = vec({1}), b = vec({2});
  const auto token = std::make_shared<int>(0);
  std::vector<bool> seen;
  const auto run = [&](Tape& tape, const Tensor& answer) {
    const Tape::Scope scope(tape);
    tape.watch(a);
    const Tensor out = vec({4}), aside = vec({5});
    record("own", {a, b}, {out, aside},
           [&seen, answer, token](const std::vector<Tensor>& d, const std::vector<bool>& needed) {
             seen = needed;
             CHECK(d[0].defined() && !d[1].defined());
             return std::vector<Tensor>{answer, vec({9})};
           });
    return out;
  };
  Tape good, zero, bad;
  const Tensor y = run(good, vec({7}));
  expect("own", good.gradient(y, a), {1}, {7});
  CHECK(seen == std::vector<bool>({true, false}));
  CHECK_EQ(token.use_count(), 1);  // a tape that answers once drops what it kept
  CHECK(!zero.gradient(run(zero, Tensor()), a).defined());
  const Tensor wrong = run(bad, vec({1, 2}));
  CHECK_THROWS(bad.gradient(wrong, a), std::logic_error,
               "own: the backward pass returned (2,) float64 for an input of (1,) float64");
}

TEST(what_a_node_keeps_is_freed_on_the_way_back) {
  const Tensor a = vec({1});
  const auto token = std::make_shared<int>(0);
  long holders = 0;
  Tape tape;
  tape.watch(a);
  const Tensor c = recorded(tape, [&] {
    const Tensor b = vec({2}), last = vec({3});
    record("first", {a}, {b}, [&](const std::vector<Tensor>& d, const std::vector<bool>&) {
      holders = token.use_count();
      return d;
    });
    record("second", {b}, {last},
           [token](const std::vector<Tensor>& d, const std::vector<bool>&) { return d; });
    return last;
  });
  CHECK_EQ(token.use_count(), 2);
  expect("chain", tape.gradient(c, a), {1}, {1});
  CHECK_EQ(holders, 1);
}

TEST(threads_and_dropped_tapes) {
  const Variable x(vec({3}));
  Tape tape;
  const Tensor y = recorded(tape, [&] { return x * x; });
  Tensor d;
  std::thread([&] {
    CHECK(!recording({&x}));
    d = tape.gradient(y, x);
  }).join();
  expect("on another thread", d, {1}, {6});
  {
    Tape dropped;
    dropped.start();
  }
  CHECK(!recording({&x}));
  Tape next;
  next.start();
  CHECK_THROWS(next.start(), std::logic_error, "recording already");
  std::thread([&] {
    CHECK_THROWS(next.stop(), std::logic_error, "stopped on another thread");
  }).join();
  const Tensor z = x * x;
  expect("while it records", next.gradient(z, x), {1}, {6});
  next.stop();  // it took itself off the list; a second stop is no error
}

}  // namespace
