// Debian's control format ("Field: value" lines, continued by a leading space; stanzas parted by empty lines).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace strata::data {

using Stanza = std::map<std::string, std::string>;

// Calls visit(stanza) for each; continuation lines are joined by \n, without their leading space.
// `wanted` names the fields to keep (all if empty): an index has 60,000 stanzas.
void ForEachStanza(std::string_view text, const std::vector<std::string>& wanted,
                   const std::function<void(Stanza&)>& visit);

std::vector<Stanza> ReadStanzas(std::string_view text);

}  // namespace strata::data
