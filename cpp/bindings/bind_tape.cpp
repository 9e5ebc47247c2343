// SPDX-License-Identifier: Apache-2.0
// bind_tape.cpp: core.Tape, the gradient tape.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "collected.hpp"
#include "convert.hpp"
#include "elman/autograd/tape.hpp"

namespace elman::bindings {
namespace {

bool is_list(nb::handle object) {
  return PyList_Check(object.ptr()) || PyTuple_Check(object.ptr());
}

std::vector<Tensor> tensors_of(nb::handle object, const char* name) {
  std::vector<Tensor> out;
  const auto push = [&](nb::handle item) {
    const Tensor* tensor = peek_tensor(item);
    if (tensor == nullptr) {
      const std::string text = error_text(
          "GradientTape.gradient", std::string(name) +
                                       ": expected a Tensor or Variable, or a list of them, got " +
                                       nb::cast<std::string>(item.type().attr("__name__")));
      throw nb::type_error(text.c_str());
    }
    out.push_back(*tensor);
  };
  if (is_list(object)) {
    for (const nb::handle item : object) push(item);
  } else {
    push(object);
  }
  return out;
}

/// One weight for each target; the weights of a single target may be a list of numbers.
std::vector<Tensor> weights_of(nb::handle object, nb::handle target,
                               const std::vector<Tensor>& targets) {
  std::vector<Tensor> out;
  if (object.is_none()) return out;
  const bool list = is_list(object) &&
                    (is_list(target) || (nb::len(object) == 1 && !is_number(object[nb::int_(0)])));
  const auto push = [&](nb::handle item) {
    const std::size_t i = out.size();
    if (i >= targets.size()) {
      fail("GradientTape.gradient", "output_gradients: expected one for each of the " +
                                        std::to_string(targets.size()) + " targets, got more");
    }
    out.push_back(item.is_none() ? Tensor()
                                 : as_tensor(item, "GradientTape.gradient", "output_gradients",
                                             targets[i].dtype()));
  };
  if (list) {
    for (const nb::handle item : object) push(item);
  } else {
    push(object);
  }
  return out;
}

nb::object gradient(Tape& tape, nb::handle target, nb::handle sources,
                    nb::handle output_gradients) {
  const std::vector<Tensor> targets = tensors_of(target, "target");
  const std::vector<Tensor> wanted = tensors_of(sources, "sources");
  const std::vector<Tensor> weights = weights_of(output_gradients, target, targets);
  std::vector<Tensor> gradients;
  {
    const nb::gil_scoped_release release;
    gradients = tape.gradient(targets, wanted, weights);
  }
  const bool list = is_list(sources);
  nb::list out;
  for (Tensor& g : gradients) {
    nb::object item = g.defined() ? to_python(std::move(g)) : nb::none();
    if (!list) return item;
    out.append(item);
  }
  return out;
}

/// with tape.stop_recording(): ...
class Pause {
 public:
  explicit Pause(nb::object tape) : held_{std::move(tape)} {}

  [[nodiscard]] Tape& tape() const { return nb::cast<Tape&>(held_[0]); }
  [[nodiscard]] const std::array<nb::object, 1>& held() const { return held_; }
  void release() { held_[0] = nb::none(); }

 private:
  std::array<nb::object, 1> held_;
};

/// with core.no_recording(): ... on no tape of this thread.
struct Off {};

}  // namespace

void bind_tape(nb::module_& m) {
  nb::class_<Pause>(m, "_TapePause", Collected<Pause>::slots())
      .def("__enter__", [](const Pause& p) { p.tape().pause(); })
      .def("__exit__", [](const Pause& p, const nb::args&) { p.tape().resume(); });
  nb::class_<Off>(m, "_NoRecording")
      .def("__enter__", [](Off&) { ++detail::t_paused; })
      .def("__exit__", [](Off&, const nb::args&) { --detail::t_paused; });
  m.def("no_recording", [] { return Off{}; }, "A context in which this thread records on no tape.");

  nb::class_<Tape>(m, "Tape", nb::dynamic_attr(), "Records operations and differentiates them.")
      .def(nb::init<bool, bool>(), nb::arg("persistent") = false,
           nb::arg("watch_accessed_variables") = true)
      .def("__enter__",
           [](nb::handle self) {
             nb::cast<Tape&>(self).start();
             return nb::borrow(self);
           })
      .def("__exit__", [](Tape& tape, const nb::args&) { tape.stop(); })
      .def(
          "watch",
          [](Tape& tape, nb::handle tensors) {
            for (const Tensor& tensor : tensors_of(tensors, "tensor")) tape.watch(tensor);
          },
          operand("tensor"), "Records what is computed from a tensor, or from each of a list.")
      .def("gradient", &gradient, operand("target"), operand("sources"),
           nb::arg("output_gradients") = nb::none(),
           "d sum(target) / d source for each source, None where nothing connects them. "
           "output_gradients weigh the elements of the target.")
      .def(
          "stop_recording", [](nb::handle self) { return Pause(nb::borrow(self)); },
          "A context in which this tape does not record.")
      .def("reset", &Tape::reset, "Forgets everything that was recorded and watched.")
      .def_prop_ro("persistent", &Tape::persistent);
}

}  // namespace elman::bindings
