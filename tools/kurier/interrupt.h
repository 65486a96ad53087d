/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Ctrl-C and SIGTERM in the middle of what has begun: it ends in order, with exact figures. What changes nothing and
 * has printed nothing does not ask for this, and is ended by the signal.
 */
#ifndef KURIER_TOOLS_INTERRUPT_H
#define KURIER_TOOLS_INTERRUPT_H

/* From now on such signals are counted; the third ends the program. */
void interrupt_begin(void);

/* How often one came. */
int interrupt_count(void);

#endif
