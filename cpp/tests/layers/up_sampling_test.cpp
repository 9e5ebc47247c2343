// SPDX-License-Identifier: Apache-2.0
// up_sampling_test.cpp: larger images on pointers against plain loops.
#include "elman/layers/up_sampling.hpp"

#include <cmath>
#include <vector>

#include "check.hpp"
#include "elman/core/random.hpp"

namespace {

using namespace elman;

const UpSampling kForms[] = {
    {3, {1, 1, 5}, {1, 1, 3}, 2},   {2, {1, 3, 7}, {1, 2, 2}, 1}, {2, {1, 5, 3}, {1, 3, 1}, 19},
    {5, {2, 3, 5}, {2, 1, 3}, 4},   {1, {3, 2, 1}, {1, 1, 1}, 7}, {0, {1, 2, 3}, {1, 2, 2}, 3},
    {7, {1, 31, 29}, {1, 2, 2}, 3},
};

// The element of x that element i of y is a copy of.
Index source(const UpSampling& s, Index i) {
  const Index c = i % s.channels;
  i /= s.channels;
  std::array<Index, 3> at{};
  for (std::size_t k = 3; k-- > 0;) {
    at[k] = i % (s.in[k] * s.times[k]) / s.times[k];
    i /= s.in[k] * s.times[k];
  }
  return (((i * s.in[0] + at[0]) * s.in[1] + at[1]) * s.in[2] + at[2]) * s.channels + c;
}

template <class T>
void check_form(const UpSampling& s, double tolerance) {
  const Index size = s.lines() * s.line();
  std::vector<T> x(std::size_t(size) + 1), dx(x.size(), T(2));
  std::vector<T> y(std::size_t(size * s.times[0] * s.times[1] * s.times[2]) + 1, T(5));
  std::vector<T> dy(y.size());
  fill_uniform<T>({1, 0}, T(-1), T(1), x.data(), size);
  fill_uniform<T>({2, 0}, T(-1), T(1), dy.data(), Index(dy.size()));
  up_sampling_forward<T>(s, x.data(), y.data());
  up_sampling_backward<T>(s, dy.data(), dx.data());
  std::vector<double> wanted(x.size(), 2.0);
  for (Index i = 0; i + 1 < Index(y.size()); ++i) {
    const auto from = std::size_t(source(s, i));
    CHECK(y[std::size_t(i)] == x[from]);
    wanted[from] += double(dy[std::size_t(i)]);
  }
  CHECK(y.back() == T(5));  // nothing is written behind the end
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CHECK(std::abs(double(dx[i]) - wanted[i]) <= tolerance);
  }
}

TEST(copies_and_their_sums) {
  for (const UpSampling& form : kForms) {
    check_form<float>(form, 12 * 1.2e-7 * 8);  // sums of at most 12 values below 1, and 2
    check_form<double>(form, 12 * 2.3e-16 * 8);
  }
}

TEST(thread_counts_change_no_bit) {
  const UpSampling form{3, {1, 61, 67}, {1, 3, 2}, 5};
  const Index size = form.lines() * form.line();
  std::vector<float> dy(std::size_t(size * 6)), first(std::size_t(size), 0.0F);
  fill_uniform<float>({3, 0}, -1.0F, 1.0F, dy.data(), Index(dy.size()));
  const int before = ThreadPool::global().size();
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool::global().resize(threads);
    std::vector<float> dx(std::size_t(size), 0.0F);
    up_sampling_backward<float>(form, dy.data(), dx.data());
    if (threads == 1) first = dx;
    CHECK(dx == first);
  }
  ThreadPool::global().resize(before);
}

}  // namespace
