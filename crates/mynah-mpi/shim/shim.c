/* The few calls of MPI that mynah-mpi makes, as plain functions of plain integers: MPI's handles and constants have
 * another form in every implementation, and only its own header knows it.
 *
 * Every function returns MPI's error code; nothing aborts. Calls come from one thread. */

#include <mpi.h>

#define GROUPS_MAX 64
#define REQUESTS_MAX 1024

static MPI_Comm groups[GROUPS_MAX];
static int group_count = 0;
static MPI_Request requests[REQUESTS_MAX];
static unsigned char taken[REQUESTS_MAX];

static int add_group(MPI_Comm comm, int *group)
{
    if (group_count == GROUPS_MAX)
        return MPI_ERR_OTHER;
    int code = MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    if (code != MPI_SUCCESS)
        return code;
    groups[group_count] = comm;
    *group = group_count++;
    return MPI_SUCCESS;
}

static int free_slot(int *slot)
{
    for (int i = 0; i < REQUESTS_MAX; i++) {
        if (!taken[i]) {
            *slot = i;
            return MPI_SUCCESS;
        }
    }
    return MPI_ERR_OTHER;
}

int mynah_mpi_init(void)
{
    int done = 0, provided = 0, group = 0;
    int code = MPI_Initialized(&done);
    if (code != MPI_SUCCESS)
        return code;
    if (!done) {
        code = MPI_Init_thread(0, 0, MPI_THREAD_FUNNELED, &provided);
        if (code != MPI_SUCCESS)
            return code;
        if (provided < MPI_THREAD_FUNNELED)
            return MPI_ERR_OTHER;
    }
    return group_count > 0 ? MPI_SUCCESS : add_group(MPI_COMM_WORLD, &group);
}

int mynah_mpi_shape(int group, int *rank, int *size)
{
    int code = MPI_Comm_rank(groups[group], rank);
    return code != MPI_SUCCESS ? code : MPI_Comm_size(groups[group], size);
}

/* Collective over all ranks: those that are members get a group of their own, the others -1. */
int mynah_mpi_split(int is_member, int *group)
{
    MPI_Comm comm = MPI_COMM_NULL;
    int code = MPI_Comm_split(groups[0], is_member ? 1 : MPI_UNDEFINED, 0, &comm);
    *group = -1;
    if (code != MPI_SUCCESS || comm == MPI_COMM_NULL)
        return code;
    return add_group(comm, group);
}

int mynah_mpi_ibcast(void *bytes, int count, int root, int group, int *slot)
{
    int code = free_slot(slot);
    if (code != MPI_SUCCESS)
        return code;
    code = MPI_Ibcast(bytes, count, MPI_BYTE, root, groups[group], &requests[*slot]);
    taken[*slot] = code == MPI_SUCCESS;
    return code;
}

int mynah_mpi_isend(const void *bytes, int count, int to, int tag, int *slot)
{
    int code = free_slot(slot);
    if (code != MPI_SUCCESS)
        return code;
    code = MPI_Isend((void *)bytes, count, MPI_BYTE, to, tag, groups[0], &requests[*slot]);
    taken[*slot] = code == MPI_SUCCESS;
    return code;
}

int mynah_mpi_test(int slot, int *done)
{
    int code = MPI_Test(&requests[slot], done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS || *done)
        taken[slot] = 0;
    return code;
}

int mynah_mpi_probe(int tag, int *found, int *from, int *count)
{
    MPI_Status status;
    int code = MPI_Iprobe(MPI_ANY_SOURCE, tag, groups[0], found, &status);
    if (code != MPI_SUCCESS || !*found)
        return code;
    *from = status.MPI_SOURCE;
    return MPI_Get_count(&status, MPI_BYTE, count);
}

/* Of a message that was probed: it is there. */
int mynah_mpi_receive(void *bytes, int count, int from, int tag)
{
    return MPI_Recv(bytes, count, MPI_BYTE, from, tag, groups[0], MPI_STATUS_IGNORE);
}

int mynah_mpi_error(int code, char *text, int size)
{
    char whole[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(code, whole, &length) != MPI_SUCCESS)
        length = 0;
    if (length > size)
        length = size;
    for (int i = 0; i < length; i++)
        text[i] = whole[i];
    return length;
}

int mynah_mpi_finalize(void)
{
    return MPI_Finalize();
}
