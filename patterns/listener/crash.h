/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Named places at which tests end the process: between what has happened and what is known of it. They exist in the
 * tests' own copy of the listener alone (tests/crashing.h); everywhere else the macro is nothing.
 *
 *     assigned, revoked, lost: partitions are, and nothing has come of it
 *     polled            a record has been taken in
 *     handled           a handler has returned, and nobody knows it
 *     emitted           what it has emitted is on its way
 *     emit-answered     all of that is durable or refused, and the decisions do not know it
 *     forwarded         a record is on its way to a retry topic or the dead letters
 *     forward-answered  it is there or refused, and the decisions do not know it
 *     commit-begun      what is to be committed has been gathered
 *     commit-sent       it is on its way
 *     commit-answered   it is done, and the decisions do not know it
 *     set-closed        what goes into a transaction has been gathered
 *     offsets-sent      a transaction has all that belongs to it, and its commit is next
 *     committed         it is committed, and the decisions do not know it
 *     forward-committed one of the forwards in it, and they do
 *
 * Of inboxes (patterns/inbox):
 *
 *     inbox-entered    a transaction has taken a record's place
 *     inbox-handled    its handler is done, and nothing is committed
 *     inbox-committed  it is, and nobody knows it
 *     inbox-forwarded  a record is in a retry topic or the dead letters, and not noted as open
 *     inbox-left-open  it is, and the decisions do not know it
 *     inbox-moved      a position has been moved
 *
 * Of redrives (patterns/redrive):
 *
 *     redrive-planned       a plan is written, and nobody has been told
 *     redrive-sent          a letter is on its way
 *     redrive-acknowledged  it is there, and not counted
 *     redrive-progress      what was counted is written, and the runner does not know it
 *     redrive-audited       the end of a run is written, and its caller does not know it
 *
 * Of an outbox's relay (patterns/outbox):
 *
 *     outbox-claimed       shards are its own, and nothing has come of it
 *     outbox-read          a batch was read
 *     outbox-produced      all of it is on its way
 *     outbox-acknowledged  all of it is in the log, and nothing of that is in the database
 *     outbox-sent          likewise, and the transaction of those that send in one is over
 *     outbox-deleted       what was sent is deleted, and the relay does not know it
 *     outbox-parked        what was refused is parked, likewise
 *
 * Of one that sends exactly once, besides:
 *
 *     outbox-begun         a transaction is open, and empty
 *     outbox-produced      all of it is in the log, and the group's offsets are not
 *     outbox-offsets-sent  those too
 *     outbox-in-commit     its commit is under way, or has just been answered
 *     outbox-committed     it is committed, and the relay does not know it
 *     outbox-cleared       what an earlier owner of a shard had sent is deleted, likewise
 */
#ifndef KURIER_PATTERNS_LISTENER_CRASH_H
#define KURIER_PATTERNS_LISTENER_CRASH_H

#ifdef KUR__HAS_CRASH_POINTS
/* Any thread. */
void kur__crash_point(const char *name);
#define KUR__CRASH_POINT(name) kur__crash_point(name)
/* The same, some time within the next milliseconds: in the middle of a call. */
void kur__crash_soon(const char *name);
#define KUR__CRASH_SOON(name) kur__crash_soon(name)
#else
#define KUR__CRASH_POINT(name) ((void)0)
#define KUR__CRASH_SOON(name) ((void)0)
#endif

#endif
