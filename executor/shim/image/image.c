/* The shim's program as bytes in this one (executor/launch.c writes them to a memory file). */
#include "executor/shim/image/image.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".global shim_image\n"
        "shim_image:\n"
        ".incbin \"" BERTH_SHIM_FILE "\"\n"
        ".global shim_image_end\n"
        "shim_image_end:\n"
        ".byte 0\n"
        ".previous\n");
