/* A program that is not Python and has it inside: runs the script that it is given. */
#include <Python.h>

int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        return 2;
    }
    Py_Initialize();
    return PyRun_SimpleFileEx(file, argv[1], 1);
}
