// Objects of C++ that are lost, and some that are held: for workloads/native_leak.py.
#include <cstdio>
#include <string>
#include <vector>

namespace app {
class Widget {
public:
    explicit Widget(int number) : number(number), title(100 + number % 7, 'w') {}
    virtual ~Widget() {}
    virtual int draw() { return number; }

    int number;
    std::string title;
    char body[200] = {1};
};

class Button : public Widget {
public:
    using Widget::Widget;
    int draw() override { return number + 1; }
};
}

static std::vector<app::Widget *> held;

static app::Widget *made(FILE *truth, char kind, int number)
{
    app::Widget *widget = number % 4 ? new app::Widget(number) : new app::Button(number);
    std::fprintf(truth, "%c %lx\n", kind, (unsigned long)widget);
    std::fprintf(truth, "%c %lx\n", kind, (unsigned long)widget->title.data());
    return widget;
}

extern "C" void plant_objects(const char *path, int scale)
{
    FILE *truth = std::fopen(path, "a");
    for (int n = 0; n < 1000; n++)
        held.push_back(made(truth, 'H', n));
    for (int n = 0; n < 2000 * scale; n++)
        made(truth, 'L', n);
    std::fclose(truth);
}
