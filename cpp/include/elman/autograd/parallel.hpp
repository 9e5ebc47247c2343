// SPDX-License-Identifier: Apache-2.0
// elman/autograd/parallel.hpp: parallel_for with its loop body compiled once.
#pragma once

#include "elman/core/threads.hpp"

namespace elman::detail {

inline void call_parallel(double flops, Index units, const void* body,
                          void (*call)(const void*, Index, Index)) {
  parallel_for(flops, units, [=](Index begin, Index end) { call(body, begin, end); });
}

/// parallel_for through a function pointer. A template body would be inlined at each of the four
/// places where the pool may run it, and the operations are many and their bodies small.
template <class F>
void parallel(double flops, Index units, const F& body) {
  call_parallel(flops, units, &body, [](const void* f, Index begin, Index end) {
    (*static_cast<const F*>(f))(begin, end);
  });
}

}  // namespace elman::detail
