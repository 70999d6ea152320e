#include "worker/data/stanzas.h"

#include <algorithm>

namespace strata::data {

void ForEachStanza(std::string_view text, const std::vector<std::string>& wanted,
                   const std::function<void(Stanza&)>& visit) {
  Stanza stanza;
  std::string* field = nullptr;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) {
      if (!stanza.empty()) visit(stanza);
      stanza.clear();
      field = nullptr;
    } else if (line[0] == ' ' || line[0] == '\t') {
      if (field != nullptr) field->append("\n").append(line.substr(1));
    } else {
      const size_t colon = std::min(line.find(':'), line.size());
      const std::string_view key = line.substr(0, colon);
      field = nullptr;
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), key) == wanted.end()) continue;
      std::string_view value = line.substr(std::min(colon + 1, line.size()));
      while (value.starts_with(' ')) value.remove_prefix(1);
      field = &(stanza[std::string(key)] = value);
    }
  }
  if (!stanza.empty()) visit(stanza);
}

std::vector<Stanza> ReadStanzas(std::string_view text) {
  std::vector<Stanza> stanzas;
  ForEachStanza(text, {}, [&](Stanza& stanza) { stanzas.push_back(std::move(stanza)); });
  return stanzas;
}

}  // namespace strata::data
