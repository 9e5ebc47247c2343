// SPDX-License-Identifier: Apache-2.0
// unit_b.cpp: the second translation unit of unit_a.cpp.
#include <elman/elman.hpp>

const elman::ThreadPool* pool_of_unit_b();

const elman::ThreadPool* pool_of_unit_b() { return &elman::ThreadPool::global(); }
