// Colours and attributes of styles, for curses. After Okabe and Ito where the terminal has 256 colours, so that they
// stay apart for people who see red and green alike; the heat map's run from dark blue to yellow as cividis does. Used
// by terminal.cc alone.
#pragma once

#include "client/top/screen.h"

namespace strata::client::top {

// Defines a pair of colours for each style. Once, after start_color().
void DefineColors();

// Makes the next characters look so. Without colour by attributes alone.
void ApplyLook(Style style, bool selected, bool color);

}  // namespace strata::client::top
