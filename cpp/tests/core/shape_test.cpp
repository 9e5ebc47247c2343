// SPDX-License-Identifier: Apache-2.0
#include "elman/core/shape.hpp"

#include <vector>

#include "check.hpp"

using namespace elman;

TEST(a_shape_knows_its_size) {
  const Shape shape{4, 10, 5};
  CHECK_EQ(shape.rank(), 3);
  CHECK_EQ(shape.size(), 200);
  CHECK_EQ(shape.product(1, 3), 50);
  CHECK_EQ(Shape{}.size(), 1);
  CHECK_EQ((Shape{3, 0, 2}.size()), 0);
  const std::vector<int> dims{2, 3};
  CHECK((Shape(dims.begin(), dims.end()) == Shape{2, 3}));
  CHECK((Shape{2, 3} != Shape{2, 3, 1}));
}

TEST(axes_count_from_both_ends) {
  const Shape shape{4, 10, 5};
  CHECK_EQ(shape.dim(-1), 5);
  CHECK_EQ(shape.dim(0), 4);
  CHECK_EQ(shape.front(), 4);
  CHECK_EQ(shape.back(), 5);
  CHECK_EQ(shape.normal_axis(-3, "sum"), 0);
  CHECK_THROWS(shape.normal_axis(3, "sum"), std::out_of_range,
               "[sum] axis: expected -3 <= axis < 3 for shape (4, 10, 5), got 3");
  CHECK_THROWS(Shape{}.back(), std::out_of_range, "for shape (), got -1");
}

TEST(shapes_print_as_python_prints_them) {
  CHECK_EQ(Shape{}.text(), "()");
  CHECK_EQ(Shape{3}.text(), "(3,)");
  CHECK_EQ((Shape{4, 10, 5}.text()), "(4, 10, 5)");
}

TEST(shapes_can_be_edited) {
  Shape shape{2, 5};
  shape.insert(1, 3);
  CHECK((shape == Shape{2, 3, 5}));
  shape.insert(0, 7);
  CHECK((shape == Shape{7, 2, 3, 5}));
  shape.erase(0);
  shape.erase(2);
  CHECK((shape == Shape{2, 3}));
  CHECK_THROWS(shape.push_back(-1), std::invalid_argument, "expected >= 0, got -1");
  CHECK_THROWS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), std::invalid_argument, "at most 8");
}

TEST(element_types_have_names_and_sizes) {
  CHECK(dtype_of<float>() == DType::float32);
  CHECK(dtype_of<double>() == DType::float64);
  CHECK(dtype_of<std::int32_t>() == DType::int32);
  CHECK(dtype_of<std::int64_t>() == DType::int64);
  CHECK(dtype_of<long long>() == DType::int64);
  CHECK(dtype_of<bool>() == DType::bool_);
  for (const char* name : {"float32", "float64", "int32", "int64", "bool"}) {
    CHECK_EQ(std::string(dtype_name(parse_dtype(name))), name);
  }
  CHECK_EQ(item_size(DType::float32), 4U);
  CHECK_EQ(item_size(DType::int64), 8U);
  CHECK_EQ(item_size(DType::bool_), 1U);
  CHECK(is_floating(DType::float64) && !is_floating(DType::int32));
  CHECK_THROWS(parse_dtype("float16"), std::invalid_argument, "got 'float16'");
}
