/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/text.h>: texts that are wished for.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_TEXT_H
#define KURIER_SYS_TEXT_H

#include <kurier/api.h>
#include <string.h>

KUR_BEGIN_DECLS

/** Whether a text is what is wished for: the same, or, where the wish ends with `*`, any that begins like it. */
KUR__UNUSED static inline bool kur_text_fits(const char *text, const char *wish)
{
    size_t size = strlen(wish);
    return size > 0 && wish[size - 1] == '*' ? strncmp(text, wish, size - 1) == 0 : strcmp(text, wish) == 0;
}

KUR_END_DECLS

#endif
