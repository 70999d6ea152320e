// Where the parts of our parameters stand in a case: every repository has names of its own, and some join what others
// keep apart.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/golden/golden_case.h"

namespace strata::golden {

// A part of ours is rows [begin, begin + part.rows) of the case's tensor `stored` (without the prefix "param.").
struct Link {
  model::NamedView part;
  std::string stored;
  int64_t begin = 0;

  // A key's bias has a true gradient of zero: what is stored is rounding, and Adam amplifies it.
  bool is_key_bias() const;
};

class Weights {
 public:
  // Throws CaseError where a part has no counterpart of its shape, or the case has weights that are no part of the
  // model. Neither argument is copied.
  Weights(const Case& reference, model::SequenceModel& model);

  // The case's weights into the model.
  void Load();
  // Greatest deviation of ours from the case's prefix + name, tensor by tensor: max|a - b| / max(max|b|, 1e-2); NaN
  // where either is not finite. `ours` gives a tensor of ours by parameter (a weight, a gradient). `worst` names the
  // tensor.
  double Compare(const std::string& prefix, const std::function<at::Tensor(const std::string&)>& ours,
                 std::string* worst) const;

  at::Tensor Parameter(const std::string& name) const { return parameters_.at(name); }
  const std::vector<Link>& links() const { return links_; }

 private:
  void CheckAllAreUsed() const;
  at::Tensor Theirs(const std::string& prefix, const Link& link, at::IntArrayRef shape) const;

  const Case& reference_;
  std::map<std::string, at::Tensor> parameters_;
  std::vector<Link> links_;
};

}  // namespace strata::golden
