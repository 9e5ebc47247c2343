// SPDX-License-Identifier: Apache-2.0
// ops_arrays_test.cpp: shapes, indices, joins and products against plain loops.
#include <limits>

#include "autograd/numeric.hpp"
#include "elman/autograd/ops_index.hpp"
#include "elman/autograd/ops_join.hpp"
#include "elman/autograd/ops_matmul.hpp"
#include "elman/autograd/ops_shape.hpp"

namespace {

using namespace elman;
using namespace numeric;

const Tensor kNone(Shape{0, 3}, DType::float64);

TEST(reshape_and_friends) {
  const Tensor x = array({2, 3}, {1, 2, 3, 4, 5, 6});
  const std::vector<double> same{1, 2, 3, 4, 5, 6};
  expect("reshape", ops::reshape(x, {3, -1}), {3, 2}, same);
  CHECK(ops::reshape(x, {6}).raw() == x.raw());  // no copy
  expect("expand_dims", ops::expand_dims(x, -1), {2, 3, 1}, same);
  expect("squeeze", ops::squeeze(x.view({1, 6, 1}), {-1}, false), {1, 6}, same);
  expect("squeeze all", ops::squeeze(x.view({1, 6, 1}), {}, true), {6}, same);
  expect("transpose", ops::transpose(x), {3, 2}, {1, 4, 2, 5, 3, 6});
  expect("reverse", ops::reverse(x, {1}), {2, 3}, {3, 2, 1, 6, 5, 4});
  expect("repeat", ops::repeat(vec({1, 2}), 2, 0), {4}, {1, 1, 2, 2});
  expect("tile", ops::tile(vec({1, 2}), {2, 2}), {2, 4}, {1, 2, 1, 2, 1, 2, 1, 2});
  expect("broadcast_to", ops::broadcast_to(vec({1, 2}), {2, 2}), {2, 2}, {1, 2, 1, 2});
  expect("nothing", ops::reshape(kNone, {3, -1, 2}), {3, 0, 2}, {});
  expect("nothing", ops::transpose(kNone), {3, 0}, {});
  expect("nothing", ops::repeat(x, 0, 1), {2, 0}, {});
  CHECK_THROWS(ops::reshape(x, {4, -1}), std::invalid_argument, "cannot make (4, -1) of the 6");
  CHECK_THROWS(ops::squeeze(x, {0}, false), std::invalid_argument, "expected an axis of size 1");
  CHECK_THROWS(ops::transpose(x, {0, 0}), std::invalid_argument, "each axis of x (2, 3) once");
  CHECK_THROWS(ops::broadcast_to(x, {3}), std::invalid_argument, "does not broadcast to (3,)");
  CHECK_THROWS(ops::expand_dims(x, 3), std::out_of_range, "-3 <= axis < 3");
}

TEST(gradients_of_shapes) {
  const Inputs x{draw({2, 3, 5}, 1)};
  gradients("reshape", [](const Inputs& in) { return ops::reshape(in[0], {5, -1}); }, x);
  gradients("transpose", [](const Inputs& in) { return ops::transpose(in[0], {1, 2, 0}); }, x);
  gradients("reverse", [](const Inputs& in) { return ops::reverse(in[0], {0, 2}); }, x);
  gradients("repeat", [](const Inputs& in) { return ops::repeat(in[0], 3, 1); }, x);
  gradients("tile", [](const Inputs& in) { return ops::tile(in[0], {2, 1, 3}); }, x);
  gradients(
      "broadcast_to", [](const Inputs& in) { return ops::broadcast_to(in[0], {4, 2, 3, 5}); }, x);
  gradients(
      "all in a row",
      [](const Inputs& in) {
        const Tensor y = ops::squeeze(ops::expand_dims(in[0], 0), {0}, false);
        return ops::identity(y) + ops::reverse(y, {1});
      },
      x);
}

TEST(basic_indices) {
  const Tensor x = array({3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const AxisPick row{1, 1, 1, true}, backwards{3, -2, 2, false}, all{0, 1, 4, false};
  expect("x[1, ::-2]", ops::pick(x, {row, backwards}, {2}), {2}, {7, 5});
  const Tensor part = ops::pick(x, {row, all}, {4});
  expect("x[1]", part, {4}, {4, 5, 6, 7});
  CHECK(part.raw() == x.data<double>() + 4);  // a contiguous part is a view
  expect("x[3:]", ops::pick(x, {{3, 1, 0, false}, all}, {0, 4}), {0, 4}, {});
  gradients("steps of a sequence",
            [&](const Inputs& in) {  // overlapping parts: their gradients add up
              return ops::pick(in[0], {row, all}, {4}) +
                     ops::pick(in[0], {{0, 1, 3, false}, all}, {3, 4});
            },
            {draw({3, 4}, 2)});
}

TEST(numbers_as_indices) {
  const Tensor x = array({3, 2}, {1, 2, 3, 4, 5, 6});
  expect("rows", ops::gather(x, ids({2, 2}, {2, 0, 2, 1})), {2, 2, 2}, {5, 6, 1, 2, 5, 6, 3, 4});
  expect("columns", ops::gather(x, ids({3}, {1, 1, 0}), 1), {3, 3}, {2, 2, 1, 4, 4, 3, 6, 6, 5});
  expect("no rows", ops::gather(x, ids({0}, {})), {0, 2}, {});
  const Tensor twice = ids({4}, {2, 0, 2, 2});
  for (const Index axis : {Index(0), Index(1)}) {
    gradients("gather", [&](const Inputs& in) { return ops::gather(in[0], twice, axis); },
              {draw({3, 4, 2}, 3)});
  }
  CHECK_THROWS(ops::gather(x, ids({1, 2}, {0, 3})), std::out_of_range,
               "ids: id 3 at position (0, 1) is outside of the table; expected 0 <= id < 3");
  CHECK_THROWS(ops::gather(x, ids({1}, {-1})), std::out_of_range, "id -1 at position (0,)");
  CHECK_THROWS(ops::gather(x, vec({0.5})), std::invalid_argument, "expected whole numbers");
  CHECK_THROWS(ops::gather(x, vec({std::numeric_limits<double>::quiet_NaN()})),
               std::invalid_argument, "expected whole numbers");
  expect("one_hot", ops::one_hot(ids({3}, {1, 5, 0}), 2, DType::float64), {3, 2},
         {0, 1, 0, 0, 1, 0});
}

TEST(joins) {
  const Tensor a = array({2, 1}, {1, 2}), b = array({2, 2}, {3, 4, 5, 6});
  expect("concatenate", ops::concatenate({a, b}, 1), {2, 3}, {1, 3, 4, 2, 5, 6});
  expect("with nothing", ops::concatenate({kNone, draw({0, 3}, 4)}, 0), {0, 3}, {});
  expect("stack", ops::stack({a, a}, 1), {2, 2, 1}, {1, 1, 2, 2});
  const std::vector<Tensor> columns = ops::unstack(b, 1);
  CHECK_EQ(columns.size(), 2u);
  expect("unstack", columns[1], {2}, {4, 6});
  const Inputs pieces{draw({2, 3}, 5), draw({2, 1}, 6), draw({2, 2}, 7)};
  gradients("concatenate", [](const Inputs& in) { return ops::concatenate(in, -1); }, pieces);
  gradients("stack", [](const Inputs& in) { return ops::stack({in[0], in[1], in[0]}, -1); },
            {draw({2, 3}, 8), draw({2, 3}, 9)});
  for (const Index axis : {Index(0), Index(1)}) {
    gradients("unstack",
              [=](const Inputs& in) {
                const std::vector<Tensor> part = ops::unstack(in[0], axis);
                return part[0] * part[2];  // nothing of part[1]
              },
              {draw({3, 3}, 10)});
  }
  CHECK_THROWS(ops::concatenate({a, b}, 0), std::invalid_argument, "got (2, 2) at position 1");
  CHECK_THROWS(ops::concatenate({}), std::invalid_argument, "got an empty list");
  CHECK_THROWS(ops::stack({a, b}), std::invalid_argument, "got (2, 2) at position 1");
}

/// The entry [i, j] of sum_k a[i, k] b[k, j] for each of the n products.
std::vector<double> products(const double* a, const double* b, Index n, Index m, Index k, Index p,
                             bool shared) {
  std::vector<double> out;
  for (Index e = 0; e < n; ++e) {
    const double* right = b + (shared ? 0 : e * k * p);
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < p; ++j) {
        double sum = 0;
        for (Index q = 0; q < k; ++q) sum += a[(e * m + i) * k + q] * right[q * p + j];
        out.push_back(sum);
      }
    }
  }
  return out;
}

TEST(products_of_matrices) {
  const Tensor x = draw({2, 3, 5}, 11), y = draw({5, 7}, 12), z = draw({2, 5, 7}, 13);
  const auto one = products(x.data<double>(), y.data<double>(), 2, 3, 5, 7, true);
  const auto each = products(x.data<double>(), z.data<double>(), 2, 3, 5, 7, false);
  expect("matmul", ops::matmul(x, y), {2, 3, 7}, one);
  expect("dot", ops::dot(x, y), {2, 3, 7}, one);
  expect("matmul of batches", ops::matmul(x, z), {2, 3, 7}, each);
  expect("batch_dot", ops::batch_dot(x, z, {2, 1}), {2, 3, 7}, each);
  expect("nothing to add", ops::matmul(draw({2, 0}, 1), draw({0, 3}, 1)), {2, 3},
         std::vector<double>(6));
  expect("no rows", ops::matmul(kNone, draw({3, 2}, 1)), {0, 2}, {});
  expect("bias_add", ops::bias_add(array({2, 2}, {1, 2, 3, 4}), vec({10, 20})), {2, 2},
         {11, 22, 13, 24});
  const auto matmul = [](const Inputs& in) { return ops::matmul(in[0], in[1]); };
  const auto batch_dot = [](const Inputs& in) { return ops::batch_dot(in[0], in[1], {2, 2}); };
  gradients("matmul", matmul, {x, y});
  gradients("matmul of batches", matmul, {x, z});
  gradients("matmul with a shared left side", matmul, {draw({3, 5}, 14), z});
  gradients("matmul of vectors", matmul, {draw({5}, 15), draw({5}, 16)});
  gradients("a vector on the left", matmul, {draw({5}, 15), z});
  gradients("dot", [](const Inputs& in) { return ops::dot(in[0], in[1]); }, {x, z});
  gradients("batch_dot", batch_dot, {x, draw({2, 7, 5}, 17)});
  gradients("x x", [](const Inputs& in) { return ops::matmul(in[0], in[0]); }, {draw({3, 3}, 18)});
  CHECK_THROWS(ops::matmul(x, x), std::invalid_argument, "y: expected 5 rows to match");
  CHECK_THROWS(ops::batch_dot(x, z, {0, 1}), std::invalid_argument, "axis 0 is the batch");
  CHECK_THROWS(ops::bias_add(x, vec({1})), std::invalid_argument, "one value for each element");
}

}  // namespace
