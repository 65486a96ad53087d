#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# What the compiler says about a wrong field list names the mistake.
. "$(dirname "$0")/lib.sh"

# mistake NAME TEXT: the program on standard input does not compile, and each compiler's messages hold the text.
mistake() {
    { echo '#include <kurier/typed.h>' && cat; } >"$work/$1.c"
    for compiler in gcc clang-14; do
        command -v $compiler >/dev/null || continue
        check "$1: refused by $compiler" sh -c "! $compiler -std=c11 -Werror '-I$SOURCE/include' -fsyntax-only \
            '$work/$1.c' 2>'$work/said'"
        # The first message is the one that people read.
        grep -m1 'error:' "$work/said" >"$work/first" || true
        check "$1: $compiler says it first" says "$work/first" "$2"
    done
}

mistake a-kind-misspelt KUR_KIND_STRNG <<'END'
#define LINE(F, S) F(S, STRNG, sku)
KUR_RECORD(line, LINE);
KUR_RECORD_DEFINE(line, LINE);
END
mistake an-option-misspelt 'min_lenght' <<'END'
#define LINE(F, S) F(S, STRING, sku, .min_lenght = 1)
KUR_RECORD(line, LINE);
KUR_RECORD_DEFINE(line, LINE);
END
mistake a-limit-that-is-no-text 'char' <<'END'
#define LINE(F, S) F(S, INT32, quantity, .min = 1)
KUR_RECORD(line, LINE);
KUR_RECORD_DEFINE(line, LINE);
END
mistake a-field-twice "duplicate member 'sku'" <<'END'
#define LINE(F, S) F(S, STRING, sku) F(S, INT32, sku)
KUR_RECORD(line, LINE);
KUR_RECORD_DEFINE(line, LINE);
END
mistake a-record-that-is-not-declared 'incomplete type' <<'END'
#define ORDER(F, S) F(S, RECORD(order_lin), line)
KUR_RECORD(order, ORDER);
KUR_RECORD_DEFINE(order, ORDER);
END
mistake containers-too-deep containers_nest_at_most_three_deep__name_a_KUR_RECORD <<'END'
#define GRID(F, S) F(S, LIST(LIST(MAP(LIST(INT32)))), cells)
KUR_RECORD(grid, GRID);
KUR_RECORD_DEFINE(grid, GRID);
END
mistake a-record-defined-as-an-event KUR_EVENT_type <<'END'
#define LINE(F, S) F(S, STRING, sku)
KUR_RECORD(line, LINE);
KUR_EVENT_DEFINE(line, LINE);
END
mistake a-handler-of-another-event 'incompatible' <<'END'
#define EMPTY(F, S) F(S, STRING, id)
KUR_EVENT(placed, "shop.placed", 1, EMPTY);
KUR_EVENT(paid, "shop.paid", 1, EMPTY);
kur_outcome on_paid(kur_delivery *delivery, const struct paid *event, void *user);
kur_status f(kur_listener *listener);
kur_status f(kur_listener *listener) { return placed_on(listener, on_paid, NULL); }
END
