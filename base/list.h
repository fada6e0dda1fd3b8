/* Intrusive doubly linked list, circular with a head, as in the Linux kernel and wayland. The list owns
 * nothing. */
#ifndef BERTH_BASE_LIST_H
#define BERTH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Puts `item` at the end. */
static inline void list_append(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as in list_remove */
    head->prev->next = item;
    head->prev = item;
}

/* Takes `item` out and leaves it as a list of itself, so that removing it again does no harm. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it loses track of which neighbours earlier removals left */
    item->next->prev = item->prev;
    list_init(item);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): a loop's variables and a member's name can't stand in parentheses
 */
/* Safe against removal of `pos` in the body. */
#define list_for_each(pos, tmp, head, member)                                                                \
    for (pos = container_of((head)->next, __typeof__(*pos), member),                                         \
        tmp = container_of(pos->member.next, __typeof__(*pos), member);                                      \
         &pos->member != (head); pos = tmp, tmp = container_of(tmp->member.next, __typeof__(*pos), member))
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
