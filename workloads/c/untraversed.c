/* A container in C whose author forgot tp_traverse: no cycle through it is ever found. */
#include <Python.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    PyObject *held;
} Box;

static void box_dealloc(PyObject *self) {
    Py_XDECREF(((Box *)self)->held);
    Py_TYPE(self)->tp_free(self);
}

static PyMemberDef box_members[] = {
    {"held", T_OBJECT, offsetof(Box, held), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject BoxType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "untraversed.Box",
    .tp_basicsize = sizeof(Box),
    .tp_dealloc = box_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_members = box_members,
    .tp_new = PyType_GenericNew,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "untraversed", NULL, -1, NULL};

PyMODINIT_FUNC PyInit_untraversed(void) {
    PyObject *made;
    if (PyType_Ready(&BoxType) < 0 || !(made = PyModule_Create(&module))) return NULL;
    Py_INCREF(&BoxType);
    PyModule_AddObject(made, "Box", (PyObject *)&BoxType);
    return made;
}
