// SPDX-License-Identifier: Apache-2.0
// unit_a.cpp: with unit_b.cpp, two translation units that include all of elman.
#include <elman/elman.hpp>

const elman::ThreadPool* pool_of_unit_b();

int main() {
  // One program has one pool, whichever unit asks for it.
  return &elman::ThreadPool::global() == pool_of_unit_b() ? 0 : 1;
}
