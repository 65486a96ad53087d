/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A file that a verb is given, as a whole.
 */
#ifndef KURIER_TOOLS_INPUT_H
#define KURIER_TOOLS_INPUT_H

#include "command.h"

/*
 * Reads a file, or standard input for "-", of at most `most` bytes. EXIT_DONE, or it was said what is wrong. The buffer
 * is to be released either way.
 */
int input_read(const struct invocation *call, const char *path, size_t most, kur_buffer *text);

/* Reads one object of a type, also one that stands alone in an array, as -o json prints it; lives in the arena. */
int input_read_object(const struct invocation *call, const char *path, const kur_type *type, void *object);

#endif
