/* The `berth` program. Everything lies in the library, so that tests can call it. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
