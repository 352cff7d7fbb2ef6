/*
 * The same few system calls for each of many rows, without Python between them: applier/sys/call_program.py says which.
 *
 * Optional: what is built without it makes the calls one by one. Which call is made, with which arguments, is said in
 * Python; here they are only made, and the first that is refused ends it.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000 /* one build does for all versions from 3.11 on */
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { VERSION = 2 }; /* of what is asked of this file: what was built from another one is not used (syscalls.py) */
enum { ARGUMENTS = 6, CALLS = 32, COLUMNS = 8 };
enum { IS_DIRECTORY = -1 }; /* in place of a number: fstat(2) of the first argument says that it is one */

/* What an argument is: a number, the place of one in `numbers`, of an earlier call's result, or of bytes in `data`; or what
 * is the row's own: its text in one of the columns, the last name of that as a path, or its number in `each`. */
enum { NUMBER, GIVEN, RESULT, DATA, TEXT, NAME, EACH };

struct argument { int64_t kind, value; };

/* A call: its number, whether a step begins with it that may hang, and whether its result is a descriptor. */
struct call { int64_t number, foreign, opens; struct argument arguments[ARGUMENTS]; };

/* A column of texts: a list, where in it the first row's is, and whether it is one of paths whose last name is asked for;
 * the directory of the first of these; the text of the row that is made now, and that name. */
struct column { PyObject *list; int64_t begin; int names; const char *above; size_t length; const char *text, *name; };

struct program {
	const struct call *calls;
	int64_t count;
	const int64_t *numbers;
	int64_t given;
	const char *data;
	int64_t size;
	struct column columns[COLUMNS];
	int64_t width;
	const int64_t *each;
};

/* Takes the lists of a tuple. Whether they have texts for all rows. */
static int take_columns(struct program *program, PyObject *lists, const int64_t *begins, int64_t rows)
{
	if (program->width != PyTuple_Size(lists) || program->width > COLUMNS)
		return 0;
	for (int64_t at = 0; at < program->width; at++) {
		PyObject *list = PyTuple_GetItem(lists, at);

		if (!PyList_Check(list) || begins[at] < 0 || begins[at] + rows > PyList_Size(list))
			return 0;
		program->columns[at] = (struct column){ .list = list, .begin = begins[at] };
	}
	return 1;
}

static int is_sound(struct program *program)
{
	for (int64_t at = 0; at < program->count; at++)
		for (int place = 0; place < ARGUMENTS; place++) {
			const struct argument *one = &program->calls[at].arguments[place];
			int64_t end = one->kind == GIVEN ? program->given : one->kind == RESULT ? at : one->kind == DATA ? program->size
				: one->kind == TEXT || one->kind == NAME ? program->width : -1;

			if (one->kind < NUMBER || one->kind > EACH || (end >= 0 && (one->value < 0 || one->value >= end)))
				return 0;
			if (one->kind == NAME)
				program->columns[one->value].names = 1;
		}
	return program->count > 0 && program->count <= CALLS;
}

static int takes_each(const struct program *program)
{
	for (int64_t at = 0; at < program->count; at++)
		for (int place = 0; place < ARGUMENTS; place++)
			if (program->calls[at].arguments[place].kind == EACH)
				return 1;
	return 0;
}

static long make(const struct call *call, const long *words)
{
	struct stat found;

	if (call->number != IS_DIRECTORY)
		return syscall(call->number, words[0], words[1], words[2], words[3], words[4], words[5]);
	if (fstat(words[0], &found) < 0)
		return -1;
	errno = ENOTDIR;
	return S_ISDIR(found.st_mode) ? 0 : -1;
}

/* A row's text. Lists of ten thousand are only looked at: to count references would copy all memory after a fork(2). */
static const char *text_of(const struct column *column, int64_t row)
{
	PyObject *text = PyList_GetItem(column->list, column->begin + row);
	Py_ssize_t size;
	const char *bytes = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	if (bytes && strlen(bytes) == (size_t)size)
		return bytes;
	PyErr_Clear();
	return NULL;
}

/* Finds the texts of a row. Whether its names are in the directories in which those of the first row are. */
static int find_texts(struct program *program, int64_t row)
{
	for (struct column *one = program->columns; one < program->columns + program->width; one++) {
		one->text = text_of(one, row);
		if (!one->names)
			continue;
		const char *slash = one->text ? strrchr(one->text, '/') : NULL;
		size_t length = slash ? slash + 1 - one->text : 0;

		if (row == 0) {
			one->above = one->text;
			one->length = length;
		} else if (!one->text || !one->above || length != one->length || memcmp(one->text, one->above, length)) {
			return 0;
		}
		one->name = one->text && one->text[length] ? one->text + length : NULL;
	}
	return 1;
}

/* Makes the calls of the row whose texts were found; the number of the one that is refused, or -1. */
static int64_t make_row(const struct program *program, int64_t row, uint64_t *counter, long *results)
{
	for (int64_t at = 0; at < program->count; at++)
		results[at] = -1;
	for (int64_t at = 0; at < program->count; at++) {
		const struct call *call = &program->calls[at];
		long words[ARGUMENTS];

		if (call->foreign && counter)
			++*counter;
		for (int place = 0; place < ARGUMENTS; place++) {
			const struct argument *one = &call->arguments[place];
			const char *text;

			switch (one->kind) {
			case GIVEN: words[place] = program->numbers[one->value]; break;
			case RESULT: words[place] = results[one->value]; break;
			case DATA: words[place] = (long)(program->data + one->value); break;
			case EACH: words[place] = program->each[row]; break;
			case TEXT:
			case NAME:
				text = one->kind == TEXT ? program->columns[one->value].text : program->columns[one->value].name;
				if (!text)
					return errno = EINVAL, at;
				words[place] = (long)text;
				break;
			default: words[place] = one->value;
			}
		}
		long result = make(call, words);
		if (call->number == SYS_close) { /* it is closed whatever the kernel answers */
			if (call->arguments[0].kind == RESULT)
				results[call->arguments[0].value] = -1;
		} else if (result < 0) {
			return at;
		} else if (call->opens) {
			results[at] = result;
		}
	}
	return -1;
}

PyDoc_STRVAR(run_doc, "run(calls, numbers, data, columns, begins, each, rows, counter) -> (rows done, call or -1, errno, results)\n\n"
	"Make the calls for each row, up to the first whose names are in another directory. `results` are the descriptors that\n"
	"the row which has failed has open, or -1.");

static PyObject *run(PyObject *self, PyObject *args)
{
	Py_buffer calls, numbers, data, begins, each, counter;
	PyObject *columns, *counted, *results = NULL, *found = NULL;
	Py_ssize_t rows, row;
	int64_t failed = -1;
	long open[CALLS];
	int number = 0;

	(void)self;
	if (!PyArg_ParseTuple(args, "y*y*y*O!y*y*nO", &calls, &numbers, &data, &PyTuple_Type, &columns, &begins, &each, &rows, &counted))
		return NULL;
	struct program program = { calls.buf, calls.len / (Py_ssize_t)sizeof(struct call), numbers.buf, numbers.len / 8, data.buf, data.len,
		.width = begins.len / 8, .each = each.buf };
	counter.buf = NULL;
	if (counted != Py_None && PyObject_GetBuffer(counted, &counter, PyBUF_WRITABLE) < 0)
		goto release;
	if (!take_columns(&program, columns, begins.buf, rows) || !is_sound(&program) || (counter.buf && counter.len < 8)
		|| each.len < (takes_each(&program) ? 8 * rows : 0)) {
		PyErr_SetString(PyExc_ValueError, "not a program of calls");
		goto release_counter;
	}
	for (row = 0; row < rows && find_texts(&program, row); row++)
		if ((failed = make_row(&program, row, counter.buf, open)) >= 0) {
			number = errno;
			break;
		}
	results = PyTuple_New(failed < 0 ? 0 : program.count);
	for (int64_t at = 0; results && failed >= 0 && at < program.count; at++)
		PyTuple_SetItem(results, at, PyLong_FromLong(open[at]));
	if (results)
		found = Py_BuildValue("(nLiN)", row, (long long)failed, number, results);
release_counter:
	if (counter.buf)
		PyBuffer_Release(&counter);
release:
	PyBuffer_Release(&each);
	PyBuffer_Release(&begins);
	PyBuffer_Release(&data);
	PyBuffer_Release(&numbers);
	PyBuffer_Release(&calls);
	return found;
}

static PyMethodDef methods[] = { { "run", run, METH_VARARGS, run_doc }, { NULL, NULL, 0, NULL } };

static int exec(PyObject *module)
{
	return PyModule_AddIntConstant(module, "VERSION", VERSION) < 0
		|| PyModule_AddIntConstant(module, "CLOSE", SYS_close) < 0
		|| PyModule_AddIntConstant(module, "MKDIRAT", SYS_mkdirat) < 0
		|| PyModule_AddIntConstant(module, "IS_DIRECTORY", IS_DIRECTORY) < 0 ? -1 : 0;
}

static PyModuleDef_Slot slots[] = { { Py_mod_exec, exec }, { 0, NULL } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_loop", NULL, 0, methods, slots, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit__loop(void)
{
	return PyModuleDef_Init(&module);
}
