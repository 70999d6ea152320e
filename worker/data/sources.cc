#include "worker/data/sources.h"

namespace strata::data {

const std::vector<Part>& EnglishGermanParts() {
  static const std::vector<Part> parts = {
      {"descriptions", "short and long descriptions of Debian's packages", ReadDescriptions},
      {"libreoffice", "LibreOffice's help", ReadLibreOfficeHelp},
      {"manuals", "manuals of GNOME and Debian", ReadManuals},
      {"manpages", "manual pages of system calls, library functions and file formats", ReadManualPages},
  };
  return parts;
}

}  // namespace strata::data
